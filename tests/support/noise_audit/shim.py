"""The headers' own arithmetic, compiled whole or with one fault planted, as a source of noise and of words."""

import ctypes
import os
import subprocess
from dataclasses import dataclass, replace
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from purecert.engine.noise.table import NoiseTable, smoothing_noise
from support.noise_audit.law import HIGHEST, LOWEST
from support.noise_audit.source import Segments

_HEADERS = Path(__file__).parents[3] / "kernels" / "include"
_FLAGS = ["-std=c++17", "-O2", "-fPIC", "-shared", "-fvisibility=default", "-Wall", "-Wextra", "-Werror"]
_CUT = 4  # standard deviations
_SIGMA_OFF = Fraction(99, 100)


class Fault(IntEnum):
    """What can be planted; the order is that of shim.cpp, which knows nothing of the last one."""

    NONE = 0
    TIED_BITS = 1  # in .5 % of words bit 30 copies bit 31
    REPEATED_BLOCK = 2  # of each row, elements 68 to 71 repeat 64 to 67
    STUCK_COUNTER = 3  # once in 64 draws the counter does not advance
    ONE_STREAM_FOR_TWO_PHASES = 4
    SWAPPED_HALVES = 5  # everywhere: another stream of the same law, which only vectors can see
    SWAPPED_TIES = 6  # where the high word does not decide, u = 2^32 low + high
    UNIFORMS_OF_24_BITS = 7
    TAIL_CUT = 8  # at 4 sigma
    SIGMA_OFF = 9  # by 1 %


def build_shim(folder: Path) -> ctypes.CDLL:
    """Return the library of all faults, compiled into ``folder``.

    Raises:
        FileNotFoundError: There is no C++ compiler.
        RuntimeError: It refused the source.
    """
    library = folder / "noise_shim.so"
    source = Path(__file__).with_name("shim.cpp")
    command = [os.environ.get("CXX", "g++"), *_FLAGS, "-I", _HEADERS, source, "-o", library]
    done = subprocess.run(list(map(os.fspath, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"expected {command[0]} to build the shim, got: {done.stderr}")
    return ctypes.CDLL(os.fspath(library))


@dataclass(frozen=True, slots=True)
class Shim:
    """A source whose arithmetic is the headers', but for its fault."""

    library: ctypes.CDLL
    fault: Fault = Fault.NONE

    def rows(
        self, table: NoiseTable, segments: Segments, elements: int, *, seed: int, purpose: int = 0
    ) -> NDArray[np.int16]:
        """Return clip(q) of the segments' rows, [rows, elements]."""
        q = self._values(table, segments, elements, seed=seed, purpose=purpose)
        return np.clip(q, LOWEST, HIGHEST, out=q)

    def row(self, sigma: float, count: int, *, seed: int, image: int, phase: int, draw: int) -> NDArray[np.int16]:
        """Return q of one row, not clipped, [count]."""
        return self._values(smoothing_noise(sigma), [(image, phase, draw, 1)], count, seed=seed, purpose=0)[0]

    def words(self, segments: Segments, elements: int, *, seed: int, half: int, purpose: int = 0) -> NDArray[np.uint32]:
        """Return the words of the segments' rows, [rows, elements]."""
        out, where = _rows(segments, elements, np.uint32, seed=seed, purpose=purpose)
        self.library.fill_words(self._number, *where, ctypes.c_uint32(half), _address(out))
        return out

    @property
    def _number(self) -> int:
        return Fault.NONE if self.fault is Fault.SIGMA_OFF else self.fault

    def _values(
        self, table: NoiseTable, segments: Segments, elements: int, *, seed: int, purpose: int
    ) -> NDArray[np.int16]:
        from purecert._kernels import ThresholdTable

        if self.fault is Fault.SIGMA_OFF:
            table = replace(table, scale=table.scale * _SIGMA_OFF)
        out, where = _rows(segments, elements, np.int16, seed=seed, purpose=purpose)
        full, top, guide = ThresholdTable(table.thresholds).parts()
        parts = (_address(full), _address(top), _address(guide), ctypes.c_uint32(full.size))
        self.library.fill_values(self._number, *where, *parts, ctypes.c_int32(int(_CUT * table.scale)), _address(out))
        return out


def _rows(
    segments: Segments, elements: int, dtype: type[np.generic], *, seed: int, purpose: int
) -> tuple[NDArray[Any], tuple[Any, ...]]:
    """Return room for the rows, and the arguments that name them; the segments live as long as the arguments."""
    columns = np.array(segments, dtype=np.int64)
    out = np.empty((int(columns[:, 3].sum()), elements), dtype=dtype)
    count = ctypes.c_uint64(len(columns))
    return out, (ctypes.c_uint64(seed), ctypes.c_uint32(purpose), _address(columns), count, ctypes.c_uint64(elements))


def _address(array: NDArray[Any]) -> Any:
    return np.ctypeslib.as_ctypes(array.reshape(-1))

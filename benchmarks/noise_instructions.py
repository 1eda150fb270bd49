"""How many instructions one value of noise takes: counted in the assembly that the compiler makes of the inner loop."""

import platform
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_KERNELS = Path(__file__).parent.parent / "kernels"
# As CMakeLists.txt compiles each path, and how many values one turn of its loop writes.
_OPTIONS = {"avx2": (("-mavx2", "-mf16c"), 32), "avx512": (("-mavx512f", "-mavx512bw"), 64)}
_GATHERS = 4  # of a turn: one for each word of the blocks
# Half precision with an image; the functions of one type are compiled into this one.
_FUNCTION = "fill_rows_as.*AsHalf"
_IMAGE = "vpmovzxbw"  # what reads an image's bytes
_MULTIPLICATION = "vpmuludq"  # of Philox, which alone multiplies


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopCount:
    """One turn of the inner loop that writes noisy images in half precision."""

    values: int
    instructions: int
    multiplications: int
    gathers: int
    compiler: str

    def as_record(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self) -> str:
        """Return what bounds the loop, in one line."""
        return (
            f"{self.instructions} instructions for {self.values} values in half precision, "
            f"{self.instructions / self.values:.2f} a value ({self.multiplications} of them multiplications, "
            f"{self.gathers} gathers): bound by arithmetic and gathers, not by memory"
        )


def count_loop(path: str) -> LoopCount | None:
    """Return the count for ``path``, "avx2" or "avx512"; None where there is no compiler for x86-64.

    Raises:
        ValueError: The compiler's assembly holds no loop of the expected form.
    """
    compiler = shutil.which("g++")
    if compiler is None or platform.machine() != "x86_64":
        return None
    options, values = _OPTIONS[path]
    loops = [
        loop for loop in _loops(_assembly(compiler, path, options)) if loop["vpgatherdd"] == _GATHERS and loop[_IMAGE]
    ]
    if not loops:
        raise ValueError(f"expected a loop with {_GATHERS} gathers and an image in {path}'s assembly, found none")
    loop = min(loops, key=lambda counter: counter.total())
    version = subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True).stdout.splitlines()[0]
    return LoopCount(
        values=values,
        instructions=loop.total(),
        multiplications=loop[_MULTIPLICATION],
        gathers=loop["vpgatherdd"],
        compiler=version,
    )


def _assembly(compiler: str, path: str, options: tuple[str, ...]) -> str:
    flags = ["-std=c++17", "-fPIC", "-O3", "-DPURECERT_X86", f"-I{_KERNELS / 'include'}", *options]
    command = [compiler, *flags, "-S", "-o", "-", str(_KERNELS / "src" / f"noise_{path}.cpp")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _loops(assembly: str) -> Iterator[Counter[str]]:
    """Yield the instructions of every stretch of ``_FUNCTION`` that a jump back to its start repeats."""
    for name, body in re.findall(r"^(_Z\w+):\n(.*?)^\t\.size\t\1,", assembly, re.DOTALL | re.MULTILINE):
        if not re.search(_FUNCTION, name):
            continue
        labels: dict[str, int] = {}
        instructions: list[str] = []
        for line in body.splitlines():
            if label := re.match(r"(\.L\w+):", line):
                labels[label[1]] = len(instructions)
            elif found := re.match(r"\t([a-z]\w*)\s*(\S*)", line):
                instructions.append(found[1])
                if found[1].startswith("j") and found[2] in labels:
                    yield Counter(instructions[labels[found[2]] :])

"""What a backend does for the scheduler: hold images in slots, draw noisy rows of them, count the labels."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64, UInt8

from purecert.engine.errors import InputError

Placement = Literal["row_invariant", "static"]
Probed = Literal["logits", "labels"]
RowCheck = Literal["run", "cached"]  # of a run's row check: done now, or this machine's earlier result

# Far past any that is of use, and what a record of somebody else may make engine-verify do.
_MOST = {"batch": 2**16, "threads": 1024, "probe_rows": 2**16}
MAX_SEGMENTS = 1024  # of one submission


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of consecutive draws of one image: rows of a submission."""

    slot: int
    phase: int
    first: int  # number of the first draw
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendOptions:
    """What the user chooses of a backend; all of it is part of run.json."""

    name: str = "onnxruntime"  # of the table of backends (registry.py)
    batch: int = 256
    threads: int = 1
    probe_rows: int = 1000  # rows of the row check
    trust: bool = False  # load cached programs that this machine did not make
    repeat_check: bool = False  # do the row check though its result is cached; no part of run.json

    def __post_init__(self) -> None:
        for what, most in _MOST.items():
            if not 1 <= getattr(self, what) <= most:
                raise InputError(f"expected {what} of at least 1 and at most {most}, got {getattr(self, what)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundRows:
    """What the row check found out."""

    placement: Placement
    probed: Probed


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendInfo:
    """What a backend is and what it found out about itself when it opened."""

    name: str
    executed_precision: str  # what was really computed in, whatever the graph's files say
    versions: dict[str, str]  # package -> version
    graph: str  # SHA-256 of the file that ran: the ONNX graph, or what was compiled or exported of it
    nodes: dict[str, int]  # provider of the runtime -> how many of the graph's nodes it ran; empty where it has none
    trusted: bool  # that file was loaded on the user's word, without this machine's tag being asked for
    hardware: str
    threads: int
    batch: int  # rows of one call of the graph
    placement: Placement  # "static": row = draw mod batch, one image at a time
    probed: Probed  # what the row check compared bit for bit; labels where there are no logits
    probe_rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendCost:
    """What a backend took, beside time, to run as it does."""

    build_seconds: float  # of compiling the graph on this machine, now or earlier; 0 where nothing is compiled
    device_memory_peak: int | None  # bytes of an accelerator's memory so far; None where there is no accelerator


class Backend(ABC):
    """One engine, opened for one plan, sigma, seed and batch.

    A certificate needs every row to be classified by the same function of its own pixels, so a backend checks that
    before it counts anything (``engine/backends/rows/row_check.py``).
    """

    row_check: RowCheck = "run"  # said where it is opened

    @property
    @abstractmethod
    def info(self) -> BackendInfo:
        """Return what this backend is; part of run.json."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """Return how many images can be held at once."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """Return the most rows of one submission, a multiple of the batch."""

    @abstractmethod
    def place(self, slot: int, image_index: int, pixels: UInt8[np.ndarray, "channels height width"]) -> None:
        """Put an image into ``slot``; later submissions see it.

        The caller places nothing into a slot that a submission in flight still reads.
        """

    @abstractmethod
    def submit(self, segments: Sequence[Segment]) -> Future[Int64[np.ndarray, "segments classes_and_invalid"]]:
        """Count the labels of each segment's noisy rows; the last column counts invalid rows.

        There are at most ``MAX_SEGMENTS`` segments, which sum to at most ``capacity`` rows; padding and masking are
        the backend's.
        """

    def cost(self) -> BackendCost:
        """Return what compiling took and how much of an accelerator's memory was held; a host backend has neither."""
        return BackendCost(build_seconds=0.0, device_memory_peak=None)

    @abstractmethod
    def close(self) -> None:
        """Wait for what is in flight and free the engine."""

"""A graph of fixed batch that runs on a device."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from purecert.engine.backends.device.array import DeviceArray


class DeviceProgram(ABC):
    """A loaded graph with its inputs at fixed addresses."""

    @property
    @abstractmethod
    def inputs(self) -> Sequence[DeviceArray]:
        """Return the inputs, [batch, ...] each, in the plan's order; ``labels`` reads them in place."""

    @abstractmethod
    def labels(self) -> DeviceArray:
        """Enqueue the graph on its inputs; return where its labels, int32 [batch], come to lie."""

    @abstractmethod
    def logits(self) -> DeviceArray | None:
        """Enqueue a probe of the graph; return where its logits come to lie, or None where only labels leave it."""

    def end_probe(self) -> None:
        """Free what ``logits`` alone needs; it may be asked for again."""
        return

    @property
    @abstractmethod
    def is_capturable(self) -> bool:
        """Whether the work of ``labels`` may be captured once and then repeated without this program."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Return the SHA-256 of the file that runs."""

    @property
    @abstractmethod
    def executed_precision(self) -> str:
        """Return the precision that rows are really computed in."""

    @property
    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return package -> version of the runtime, beside the queue's."""

    @property
    @abstractmethod
    def build_seconds(self) -> float:
        """Return how long this machine took to compile the graph, now or earlier."""

    @property
    def nodes(self) -> dict[str, int]:
        """Return how many of the graph's nodes each provider of the runtime runs; empty where it has none."""
        return {}

    @abstractmethod
    def close(self) -> None:
        """Free the runtime's memory."""

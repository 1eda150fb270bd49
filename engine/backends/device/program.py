"""A graph of fixed batch that runs on a device."""

from abc import abstractmethod
from collections.abc import Callable, Sequence

from purecert.engine.backends.device.array import DeviceArray
from purecert.engine.backends.graph import LoadedGraph


class DeviceProgram(LoadedGraph):
    """A loaded graph with its inputs at fixed addresses; its ``versions`` are those beside the queue's."""

    @property
    @abstractmethod
    def inputs(self) -> Sequence[DeviceArray]:
        """Return the inputs, [batch, ...] each, in the plan's order; ``labels`` reads them in place."""

    @abstractmethod
    def labels(self) -> DeviceArray:
        """Enqueue the graph on its inputs; return where its labels, int32 [batch], will be."""

    @property
    @abstractmethod
    def probe(self) -> Callable[[], DeviceArray] | None:
        """Return what enqueues a probe of the graph and says where its logits lie; None where only labels leave it."""

    def end_probe(self) -> None:
        """Free what the probe alone needs; it may be asked for again."""
        return

    @property
    @abstractmethod
    def is_capturable(self) -> bool:
        """Whether the work of ``labels`` may be captured once and then repeated without this program."""

    @property
    @abstractmethod
    def build_seconds(self) -> float:
        """Return how long this machine took to compile the graph, now or earlier."""

"""The batch kernels of purecert on a GPU (kernels/README.md)."""



NOISE_CONTRACT: int = 1

def architectures() -> str:
    """
    Return the architectures that machine code was made for, such as "80 90".
    """

def fill_batch(*, table: tuple[int, int, int], thresholds: int, map: int, images: int, seed: int, purpose: int, shape: tuple[int, int, int], channels_last: bool, element: str, out: int, stream: int) -> None:
    """
    Write the noise of the map's next batch; every array is an address (batch.h), which nothing here checks.
    """

def count_votes(*, map: int, labels: int, rows: int, classes: int, counts: int, stream: int) -> None:
    """
    Add the votes of the map's next batch and move the map on; every array is an address (batch.h).
    """

def begin_capture(stream: int) -> None:
    """
    Record what this thread enqueues on the stream from here on, instead of doing it.
    """

def end_capture(stream: int) -> int:
    """
    End the recording; return the handle of the CUDA graph made of it. RuntimeError where it cannot be one.
    """

def launch_captured(graph: int, stream: int) -> None:
    """Enqueue the whole of a captured graph on the stream."""

def free_captured(graph: int) -> None:
    """Free a captured graph, which must have ended its work."""

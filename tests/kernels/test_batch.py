"""The batch kernels as the host builds them, from the templates that a GPU runs: noise by row map, and votes."""

from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from purecert.engine.backends.device.kernels import EXTRA_COUNTS, BatchNoise, enqueue_votes
from purecert.engine.backends.device.row_map import row_map
from purecert.engine.backends.packing import Piece
from purecert.engine.backends.torch.array import TorchArray
from purecert.engine.backends.torch.queue import HostQueue
from purecert.engine.errors import BackendError
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.noise.table import NoiseTable, extra_noise, smoothing_noise
from purecert.engine.noise.torch_rows import draw_row
from support.noise_vectors import published_rows

pytestmark = pytest.mark.usefixtures("kernels")

_SEED = 2**63 + 11
_DTYPES = [torch.float16, torch.float32]
# Shapes that take whole stores in either layout, in one of them only, and in none.
_SHAPES = [(3, 4, 8), (3, 3, 4), (3, 3, 3), (1, 8, 8), (1, 5, 7), (4, 2, 4), (5, 1, 3)]


def _noise(table: NoiseTable, seed: int = _SEED, purpose: int = 0) -> InputNoise:
    return InputNoise(table=table, seed=seed, purpose=purpose, threads=1)


def _map(pieces: list[Piece], images: list[int]) -> TorchArray:
    words = row_map([pieces], 10**6, np.array(images, np.int64))
    return TorchArray(torch.from_numpy(words.view(np.int32).copy()))


def _batch_noise(noise: InputNoise, rows: Tensor, images: Tensor) -> BatchNoise:
    return BatchNoise(HostQueue(1), noise, TorchArray(rows), TorchArray(images))


def _count(row_map: TorchArray, labels: Tensor, batch: int, counts: Tensor) -> None:
    enqueue_votes(HostQueue(1), row_map, TorchArray(labels), batch, TorchArray(counts))


def _poisoned(shape: tuple[int, ...], dtype: torch.dtype, *, channels_last: bool = False) -> Tensor:
    rows = torch.full(shape, -7777.0, dtype=dtype)
    return rows.contiguous(memory_format=torch.channels_last) if channels_last else rows


def _reference(
    table: NoiseTable, image: NDArray[np.uint8], index: int, phase: int, draw: int, *, seed: int = _SEED
) -> NDArray[np.int64]:
    """Return one noisy image by the torch path, which was written independently of the headers."""
    q = np.empty(image.size, np.int16)
    draw_row(table, q, seed=seed, image=index, phase=phase, draw=draw, purpose=0)
    noisy: NDArray[np.int64] = np.clip(image.astype(np.int64) + q.reshape(image.shape), -2048, 2047)
    return noisy


def test_every_published_value_is_drawn() -> None:
    for row in published_rows():
        out = _poisoned((1, 1, 1, row.elements), torch.float32)
        black = torch.zeros(out.shape, dtype=torch.uint8)
        noise = _batch_noise(_noise(smoothing_noise(row.sigma), row.seed), out, black)
        noise.enqueue(_map([Piece(0, 0, row.phase, row.draw, 1, 0)], [row.image]))
        drawn = {element: int(out.flatten()[element]) for element in row.values}
        assert drawn == {element: max(-2048, min(2047, q)) for element, q in row.values.items()}


@pytest.mark.parametrize("shape", _SHAPES, ids=str)
def test_rows_are_the_draws_that_the_map_names(shape: tuple[int, int, int]) -> None:
    for dtype in _DTYPES:
        for channels_last in (False, True):
            _assert_mapped(shape, channels_last, dtype)


def _assert_mapped(shape: tuple[int, int, int], channels_last: bool, dtype: torch.dtype) -> None:
    """Assert that twelve rows in one layout and type hold what the map says, and zeros where it says nothing."""
    images = np.random.default_rng(1).integers(0, 256, (3, *shape), dtype=np.uint8)
    out = _poisoned((12, *shape), dtype, channels_last=channels_last)
    table = smoothing_noise(1.0)
    noise = _batch_noise(_noise(table), out, torch.from_numpy(images))
    # Row 0 and rows 7 to 8 and 11 are padding; the pieces are of different images, phases and draws.
    pieces = [Piece(0, 2, 0, 5, 4, 1), Piece(1, 0, 1, 2**32 - 2, 2, 5), Piece(2, 1, 1, 0, 2, 9)]
    indices = [7, 2**32 - 1, 0]
    noise.enqueue(_map(pieces, indices))
    expected = np.zeros((12, *shape), np.int64)
    for piece in pieces:
        for number in range(piece.count):
            expected[piece.row + number] = _reference(
                table, images[piece.slot], indices[piece.slot], piece.phase, piece.first + number
            )
    assert np.array_equal(out.numpy().astype(np.int64), expected)


def test_the_noise_of_a_random_purifier_reads_no_image() -> None:
    out = _poisoned((2, 2, 3, 4, 4), torch.float16)
    ones = torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)
    _batch_noise(_noise(extra_noise(), purpose=1), out, ones).enqueue(_map([Piece(0, 0, 1, 3, 2, 0)], [9]))
    for row in range(2):
        q = np.empty(96, np.int16)
        draw_row(extra_noise(), q, seed=_SEED, image=9, phase=1, draw=3 + row, purpose=1)
        assert np.array_equal(out[row].flatten().numpy().astype(np.int64), np.clip(q, -2048, 2047))


def test_ties_are_decided_by_all_64_bits() -> None:
    # At a large sigma thresholds are so dense that some twenty of these draws meet the high word of one.
    table, shape = smoothing_noise(14.0), (1, 64, 512)
    image = np.zeros(shape, np.uint8)
    out = _poisoned((40, *shape), torch.float32)
    _batch_noise(_noise(table), out, torch.zeros((1, *shape), dtype=torch.uint8)).enqueue(
        _map([Piece(0, 0, 1, 0, 40, 0)], [0])
    )
    for row in range(40):
        assert np.array_equal(out[row].numpy().astype(np.int64), _reference(table, image, 0, 1, row))


def test_votes_go_to_their_segments_and_padding_has_none() -> None:
    classes, rows, segments = 5, 4096, 6
    generator = np.random.default_rng(2)
    labels = generator.integers(-1, classes, rows).astype(np.int32)
    bounds = np.sort(generator.choice(rows, 2 * segments, replace=False)).reshape(segments, 2)
    order = generator.permutation(segments)
    pieces = [
        Piece(int(s), 0, 1, 0, int(end - begin), int(begin)) for s, (begin, end) in zip(order, bounds, strict=True)
    ]
    counts = torch.zeros((segments, classes + EXTRA_COUNTS), dtype=torch.int32)
    _count(_map(pieces, [0]), torch.from_numpy(labels), rows, counts)
    for segment, (begin, end) in zip(order, bounds, strict=True):
        votes = np.bincount(labels[begin:end] % (classes + 1), minlength=classes + 1)
        assert counts[segment].tolist() == [*votes, 0]


def test_labels_that_are_no_class_are_counted_apart() -> None:
    labels = torch.tensor([0, 3, -2, 2**31 - 1, -(2**31), -1], dtype=torch.int32)
    counts = torch.zeros((1, 3 + EXTRA_COUNTS), dtype=torch.int32)
    _count(_map([Piece(0, 0, 1, 0, 6, 0)], [0]), labels, 6, counts)
    assert counts.tolist() == [[1, 0, 0, 1, 4]]


def test_the_map_moves_on_by_itself() -> None:
    """Two batches of 4 rows: 3 draws of one image, then 4 of another across the border, one row of padding."""
    shape, table = (1, 2, 4), smoothing_noise(0.5)
    images = np.random.default_rng(3).integers(0, 256, (2, *shape), dtype=np.uint8)
    batches = [[Piece(0, 0, 0, 10, 3, 0), Piece(1, 1, 1, 0, 1, 3)], [Piece(1, 1, 1, 1, 3, 0)]]
    words = TorchArray(torch.from_numpy(row_map(batches, 4, np.array([4, 6])).view(np.int32).copy()))
    out, labels = _poisoned((4, *shape), torch.float16), torch.tensor([0, 1, 1, 1], dtype=torch.int32)
    counts = torch.zeros((2, 2 + EXTRA_COUNTS), dtype=torch.int32)
    noise = _batch_noise(_noise(table), out, torch.from_numpy(images))
    draws = [[(0, 4, 0, 10), (0, 4, 0, 11), (0, 4, 0, 12), (1, 6, 1, 0)], [(1, 6, 1, d) for d in (1, 2, 3)]]
    for batch in draws:
        noise.enqueue(words)
        for row, (slot, index, phase, draw) in enumerate(batch):
            assert np.array_equal(out[row].numpy(), _reference(table, images[slot], index, phase, draw))
        _count(words, labels, 4, counts)
    assert not out[3].any()
    assert counts.tolist() == [[1, 2, 0, 0], [1, 3, 0, 0]]


@pytest.mark.parametrize(
    "labels",
    [torch.zeros(4, dtype=torch.int64), torch.zeros(8, dtype=torch.int32)],
    ids=["of another type", "of more rows"],
)
def test_other_labels_are_refused(labels: Tensor) -> None:
    counts = torch.zeros((1, 5), dtype=torch.int32)
    with pytest.raises(BackendError, match=r"expected int32 labels \[4\]"):
        _count(_map([], [0]), labels, 4, counts)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.zeros(8, dtype=torch.int32)[::2], "NCHW or channels-last"),
        (torch.zeros(2, 3, 4, 4).transpose(2, 3), "NCHW or channels-last"),
        (torch.zeros(2, dtype=torch.bfloat16), "bfloat16"),
    ],
    ids=["with gaps", "transposed", "of another type"],
)
def test_tensors_that_kernels_cannot_read_are_refused(tensor: Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TorchArray(tensor)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"element": "bfloat16"}, "float16 or float32"),
        ({"shape": (2**16, 2**10, 2**10)}, "elements in a batch"),
        ({"shape": (0, 1, 4)}, "elements in a batch"),
        ({"shape": (1, 4)}, "rows, channels, pixels"),
        ({"purpose": 2**30}, "purpose"),
        ({"seed": -1}, "seed"),
        ({"thresholds": 65536}, "thresholds"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused(kernels: ModuleType, change: dict[str, object], words: str) -> None:
    arguments = {"table": (0, 0, 0), "thresholds": 2, "map": 0, "images": 0, "seed": 0, "purpose": 0} | {
        "shape": (1, 1, 4),
        "channels_last": False,
        "element": "float16",
        "out": 0,
        "stream": 0,
    }
    with pytest.raises(ValueError, match=words):
        kernels.fill_batch(**(arguments | change))

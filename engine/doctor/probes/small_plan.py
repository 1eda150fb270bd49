"""The doctor's own plan: so small that every backend runs a batch of it at once, with counts known exactly.

All its numbers are small integers, or those over a power of two: no order of adding them rounds, in FP16 neither, and
no two logits of a row are equal. What it must answer is computed here in NumPy's integers.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int64, Shaped
from numpy.typing import NDArray

import purecert
from purecert.engine.backends.base import Segment
from purecert.engine.doctor.probes.small_network import BIAS_64THS, CONVOLUTION, onnx_model
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.noise.rows import fill_rows
from purecert.engine.noise.table import smoothing_noise
from purecert.engine.plans.plan import PLAN_SCHEMA, GraphInput, Plan, PlanRecord, SigmaGraph, write_plan

SIGMA = 1 / 255  # one grey level
SEED = 0
BATCH = 32
IMAGES = (np.arange(64) * 5 % 11 % 3).astype(np.uint8).reshape(2, 2, 4, 4)
SEGMENTS = (Segment(0, 0, 0, 9), Segment(1, 1, 5, 20))  # less than a batch, so that its tail is padded

_CLASSES = len(CONVOLUTION)
PIXELS = GraphInput(name="pixels", shape=IMAGES.shape[1:], dtype="float16")


def write_small_plan(directory: Path) -> Plan:
    """Write the plan into the new folder ``directory`` and return it."""
    directory.mkdir(parents=True)
    model = onnx_model()
    graph = SigmaGraph(sigma=SIGMA, file="small.onnx", sha256=sha256_hex(model), t=None)
    (directory / graph.file).write_bytes(model)
    return write_plan(directory, _record(graph))


def exact_counts() -> Int64[np.ndarray, "segments classes_and_invalid"]:
    """Return what a backend must count for ``SEGMENTS`` under ``SEED``."""
    counts = np.zeros((len(SEGMENTS), _CLASSES + 1), np.int64)
    for row, segment in enumerate(SEGMENTS):
        labels = exact_logits_64ths(_noisy(segment)).argmax(axis=1)
        counts[row, :-1] = np.bincount(labels, minlength=_CLASSES)
    return counts


def exact_logits_64ths(rows: Shaped[np.ndarray, "rows 2 4 4"]) -> Int64[np.ndarray, "rows classes"]:
    """Return 64 times the network's logits of ``rows``, whose values are whole numbers."""
    padded = np.pad(rows.astype(np.int64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    responses = np.einsum("nchwij,ocij->nohw", windows, CONVOLUTION)
    sums_of_16 = np.maximum(responses, 0).sum(axis=(2, 3))  # 16 times the mean
    return np.asarray(4 * sums_of_16 + BIAS_64THS)


def _noisy(segment: Segment) -> NDArray[np.int16]:
    rows = np.empty((segment.count, *IMAGES.shape[1:]), np.int16)
    address = np.array([[segment.slot, segment.slot, segment.phase, segment.first, segment.count]], np.int64)
    fill_rows(smoothing_noise(SIGMA), rows, address, seed=SEED, images=IMAGES)
    return rows


def _record(graph: SigmaGraph) -> PlanRecord:
    return PlanRecord(
        schema=PLAN_SCHEMA,
        inputs=(PIXELS,),
        classes=_CLASSES,
        class_names=(),
        graphs=(graph,),
        precision="fp16",
        purifier="identity",
        time_rule="none",
        fp32_islands={},
        logits="logits",
        exporter={"purecert": purecert.__version__},
        parity=(),
        model_sha256="",
        data=None,
        sources=("engine-doctor",),
        licence="none",
    )

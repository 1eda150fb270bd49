"""What values the tensors of a graph take on noisy real images: the ranges that fixed INT8 scales are made of."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator

PRODUCTS = ("Conv", "Gemm", "MatMul")  # where the time goes; all else stays in FP32
_BATCH = 64

Rows = Sequence[NDArray[np.generic]]


def measured_ranges(content: bytes, names: Sequence[str], rows: Rows) -> TensorsData:
    """Return the least and largest value of every tensor that a product takes or gives.

    Args:
        content: An FP32 ONNX graph.
        names: Of its inputs.
        rows: An array [rows, ...] for each of them.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        model.write_bytes(content)
        calibrator = create_calibrator(
            model,
            PRODUCTS,
            augmented_model_path=str(Path(folder) / "watched.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Reader(names, rows))
        return calibrator.compute_data()


@final
class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Gives rows to ONNX Runtime's calibrator, batch by batch."""

    def __init__(self, names: Sequence[str], rows: Rows) -> None:
        starts = range(0, len(rows[0]), _BATCH)
        batches = [
            {name: array[start : start + _BATCH] for name, array in zip(names, rows, strict=True)} for start in starts
        ]
        self._batches = iter(batches)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """Return the next batch, or None after the last."""
        return next(self._batches, None)

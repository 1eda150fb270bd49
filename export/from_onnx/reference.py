"""What the plan's votes are compared with: the files themselves, one after the other, in ONNX Runtime."""

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from purecert.engine.errors import InputError, one_line
from purecert.engine.noise.contract import GREY_LEVELS
from purecert.export.from_onnx.reading import OnnxPipeline


@final
class OnnxReference(nn.Module):
    """The files as they are, in ONNX Runtime, with images prepared by NumPy: nothing of the plan's own graph."""

    def __init__(self, pipeline: OnnxPipeline) -> None:
        """Open the files.

        Raises:
            InputError: ONNX Runtime does not open one, such as one of an opset below 7.
        """
        super().__init__()
        import onnxruntime as ort

        self._pipeline = pipeline
        options = ort.SessionOptions()
        options.log_severity_level = 3
        parts = [part.stored for part in (pipeline.denoiser, pipeline.classifier) if part is not None]
        try:
            self._sessions = [
                ort.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])
                for part in parts
            ]
        except Exception as error:  # the runtime's errors share no base class
            reason = one_line(error)
            raise InputError(f"expected ONNX files that ONNX Runtime opens, got: {reason}; export them anew") from error

    def logits(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the classifier's answers for images of grey levels [batch, C, H, W]."""
        low, high = self._pipeline.input_range
        x = (pixels.astype(np.float64) / GREY_LEVELS * (high - low) + low).astype(np.float32)
        *before, classifier = self._sessions
        for session in before:
            (x,) = session.run(None, {session.get_inputs()[0].name: x})
        mean, std = (np.reshape(part, (1, -1, 1, 1)) for part in (self._pipeline.mean, self._pipeline.std))
        normalised = ((x.astype(np.float64) - mean) / std).astype(np.float32)
        (logits,) = classifier.run(None, {classifier.get_inputs()[0].name: normalised})
        return np.asarray(logits)

    def classes(self, images: NDArray[np.uint8]) -> int:
        """Return how many logits an image gets.

        Raises:
            InputError: The files do not take such images, or give no logits.
        """
        try:
            logits = self.logits(images.astype(np.float32))
        except Exception as error:  # the runtime's errors share no base class
            reason = one_line(error)
            raise InputError(f"expected ONNX files for images of {list(images.shape[1:])}, got: {reason}") from error
        if logits.ndim != 2 or len(logits) != len(images) or logits.shape[1] < 2 or logits.dtype != np.float32:
            came = f"{logits.dtype} {list(logits.shape)} for {len(images)} images"
            raise InputError(f"expected FP32 logits [images, classes] of at least two classes, got {came}")
        return int(logits.shape[1])

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return labels and logits, as ``FusedModel`` does."""
        logits = torch.from_numpy(self.logits(pixels.numpy()))
        valid = torch.isfinite(logits).all(dim=1)
        return torch.where(valid, logits.argmax(dim=1), -1).to(torch.int32), logits

"""ONNX files as they are: what is read, and what it must be."""

from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import ModelProto, TensorProto

from purecert.engine.errors import InputError

_OPSET = 20  # what older files are brought to; 18 and newer stay
_LEAST_OPSET = 18  # from where reductions take their axes as an input


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxFile:
    """A file, as it is and as its graph goes into a plan: the converter of old graphs can change what they compute."""

    stored: ModelProto
    graph: ModelProto  # of an opset that a plan may have

    @property
    def is_converted(self) -> bool:
        """Return whether the graph is not the stored one, which was of an older opset."""
        return self.graph is not self.stored


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxPipeline:
    """Classifier and denoiser as they were read, and what they take images as."""

    classifier: OnnxFile
    denoiser: OnnxFile | None  # of images in ``input_range`` to clean ones in the same range
    input_range: tuple[float, float]
    mean: tuple[float, ...]  # per channel, in units of the range
    std: tuple[float, ...]

    @property
    def is_converted(self) -> bool:
        """Return whether the graph of either file is."""
        return any(part.is_converted for part in (self.classifier, self.denoiser) if part is not None)


def opset_of(model: ModelProto) -> int:
    """Return the version of ONNX's own operators that ``model`` is written in."""
    return next(int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def read_onnx(path: Path) -> OnnxFile:
    """Return the file ``path``, with weights that lie beside it; nothing of it is run.

    Raises:
        InputError: It is no ONNX model of one FP32 input [batch, channels, height, width] and one output, or its batch
            is fixed.
    """
    try:
        model = stored = onnx.load(path)
        onnx.checker.check_model(model)
        model = model if opset_of(model) >= _LEAST_OPSET else onnx.version_converter.convert_version(model, _OPSET)
    except Exception as error:  # protocol buffers, onnx and its C++ each fail by errors of their own
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{path}: expected an ONNX model, found: {reason}") from error
    weights = {weight.name for weight in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        came = f"{len(inputs)} inputs and {len(model.graph.output)} outputs"
        raise InputError(f"{path}: expected a model of one input, images, and one output, found {came}")
    tensor = inputs[0].type.tensor_type
    if tensor.elem_type != TensorProto.FLOAT or len(tensor.shape.dim) != 4:
        raise InputError(f"{path}: expected an FP32 input [batch, channels, height, width], found another")
    if tensor.shape.dim[0].HasField("dim_value"):
        raise InputError(
            f"{path}: expected a model for any batch, found one for {tensor.shape.dim[0].dim_value} images; export it "
            "with a dynamic first dimension"
        )
    return OnnxFile(stored=stored, graph=model)

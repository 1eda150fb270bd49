"""Layer reports as TensorRT writes them, line by line, for engines that nobody built."""

from collections.abc import Sequence


def tensor(name: str, extents: Sequence[int], type_: str) -> str:
    """Return one tensor, as versions since 10 write it."""
    return (
        f"{{ Name: {name}, Dimensions: [{','.join(map(str, extents))}], Strides: [1], StrideOrder: [0], "
        f"Datatype: {type_}, Format: (Arbitrary) Format with stride order = [1,0,3,2] }}"
    )


def layer(
    name: str,
    nodes: Sequence[str] = (),
    *,
    inputs: Sequence[str] = ("Half",),
    weights: Sequence[tuple[Sequence[int], str]] = (),
    output: str = "Half",
    kind: str = "runtime_fusion",
    stream: int = 0,
) -> str:
    """Return one layer: the types of its inputs of 8 x 16 x 4 x 4, and extents and types of its constants."""
    read = ", ".join(tensor(f"in_{index}", (8, 16, 4, 4), type_) for index, type_ in enumerate(inputs))
    held = ", ".join(tensor(f"__mye{index}_dconst", extents, type_) for index, (extents, type_) in enumerate(weights))
    metadata = "".join(f"[ONNX Layer: {node}]" for node in nodes)
    return (
        f"Name: {name}, LayerType: {kind}, Inputs: [ {read}], Constants: [ {held}], "
        f"Outputs: [ {tensor('out', (8, 16, 4, 4), output)}], TacticName: , StreamId: {stream}, Metadata: {metadata}"
    )


def end(name: str, mode: str, type_: str, extents: Sequence[int]) -> str:
    """Return one input or output of an engine."""
    return (
        f" Name: {name}, IOMode: {mode}, DataType: {type_}, Dimensions: [{','.join(map(str, extents))}], "
        "Location: Device, IsShapeInferenceIO: false, ProfileInfo: [ { Format: Row major linear (kLINEAR) }]"
    )


ENDS = (end("pixels", "Input", "Half", (8, 1, 8, 8)), end("label", "Output", "Int32", (8,)))


def report(*layers: str, ends: Sequence[str] = ENDS) -> str:
    """Return a whole report."""
    return "\n".join(["Layers:", *layers, "", "I/O Tensors:", *ends, "", "Engine Metadata:", " Multi-Device: Disabled"])

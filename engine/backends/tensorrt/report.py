"""What the library says an engine computes: its layer report, read and compared with the network it was built from.

The report names each layer's tensors with their types and the ONNX nodes that it computes. One layer may compute many
nodes, and one node may be spread over layers that prepare or finish what another multiplies.
"""

import math
import re
from dataclasses import dataclass

from purecert.engine.errors import BackendError

_HALF, _FLOAT = "Half", "Float"
# How different versions write a type, in the order in which to look.
_TYPE_WORDS = {
    r"\b(?:half|fp16)\b": _HALF,
    r"\b(?:bfloat16|bf16)\b": "BFloat16",
    r"\b(?:float|fp32|tf32)\b": _FLOAT,
    r"\bint32\b": "Int32",
    r"\bint64\b": "Int64",
    r"\bbool\b": "Bool",
    r"\b(?:fp8|int8|fp4|int4)\b": "quantised",
}
_LINE = re.compile(r"Name: (?P<name>.*?), LayerType: (?P<kind>[^,]*),")
_TENSOR = re.compile(r"\{ Name: (?P<name>.*?), Dimensions: \[(?P<dims>[-\d, ]*)\](?P<rest>[^{}]*)\}")
_WEIGHTS = re.compile(r"Weights: \{\s*\"?Type\"?: \"?(?P<type>\w+)\"?, \"?Count\"?: (?P<count>\d+)")
_END = re.compile(
    r"Name: (?P<name>.*?), (?:Tensor)?IOMode: k?(?P<mode>\w+), Data[Tt]ype: (?P<type>\w+), "
    r"Dimensions: \[(?P<dims>[-\d, ]*)\]"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorNote:
    """One tensor of a layer: its extents (none known of weights that are only counted) and its type."""

    name: str
    extents: tuple[int, ...]
    elements: int
    type: str

    @property
    def is_matrix(self) -> bool:
        """Return whether it has more than one extent above 1, or extents not in the report; a scale or bias has one."""
        return not self.extents or sum(extent > 1 for extent in self.extents) > 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerNote:
    """One layer of an engine."""

    name: str
    kind: str
    inputs: tuple[TensorNote, ...]
    constants: tuple[TensorNote, ...]
    outputs: tuple[TensorNote, ...]
    nodes: frozenset[str]  # of the ONNX graph, that it computes or takes part in
    stream: int

    def described(self) -> str:
        """Return its name and kind, for a message."""
        return f"layer {self.name} of kind {self.kind}"


@dataclass(frozen=True, kw_only=True, slots=True)
class EndNote:
    """One input or output of the engine."""

    name: str
    mode: str  # "Input" or "Output"
    type: str
    extents: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerReport:
    """The layers of an engine, and its inputs and outputs."""

    layers: tuple[LayerNote, ...]
    ends: tuple[EndNote, ...]


def parse_report(text: str) -> LayerReport:
    """Return the layer report ``text``, as the engine inspector writes it, one line a layer.

    Raises:
        BackendError: It holds no layers, or a line that cannot be read.
    """
    layers, ends = [], []
    for line in text.split("\n"):  # not splitlines: metadata is divided by separators that it would split at
        if " LayerType: " in line:
            layers.append(_layer(line))
        elif "IOMode: " in line:
            ends.append(_end(line))
    if not layers or not ends:
        raise BackendError(
            f"expected the library's report of the engine's layers, found {len(layers)} layers and {len(ends)} inputs "
            "and outputs in it; this version writes another form: report it, with the version"
        )
    return LayerReport(layers=tuple(layers), ends=tuple(ends))


def _layer(line: str) -> LayerNote:
    begins = _LINE.match(line.strip())
    if begins is None:
        raise _unreadable(line)
    stream = re.search(r"StreamId: (\d+)", line)
    counted = _WEIGHTS.search(line)
    constants = _tensors(line, "Constants")
    if counted:
        constants = (*constants, _counted(counted))
    name = begins["name"]
    return LayerNote(
        name=name,
        kind=begins["kind"].strip(),
        inputs=_tensors(line, "Inputs"),
        constants=constants,
        outputs=_tensors(line, "Outputs"),
        nodes=_nodes(line, name),
        stream=int(stream[1]) if stream else 0,
    )


def _nodes(line: str, name: str) -> frozenset[str]:
    """Return the ONNX nodes that a layer names: in its metadata, or else in its own name."""
    _, found, metadata = line.rpartition("Metadata:")
    if found and (named := re.findall(r"\[ONNX Layer: ([^\]]*)\]", metadata)):
        return frozenset(named)
    parts = re.split(r" \+ |\|\||,\s*", name)
    return frozenset(re.sub(r"_myl\d+_\d+$", "", part.strip()) for part in parts)


def _tensors(line: str, section: str) -> tuple[TensorNote, ...]:
    begin = re.search(rf"\b{section}: \[", line)
    if begin is None:
        return ()
    content = _bracketed(line, begin.end())
    found = tuple(_tensor(entry) for entry in _TENSOR.finditer(content))
    if len(found) != content.count("{"):
        raise _unreadable(line)
    return found


def _bracketed(line: str, begin: int) -> str:
    """Return what stands from ``begin`` to the bracket that closes the one before it."""
    depth = 1
    for at in range(begin, len(line)):
        depth += {"[": 1, "]": -1}.get(line[at], 0)
        if depth == 0:
            return line[begin:at]
    raise _unreadable(line)


def _tensor(entry: re.Match[str]) -> TensorNote:
    extents = _extents(entry["dims"])
    words = re.search(r"Datatype: (.*)", entry["rest"])
    if words is None:
        raise _unreadable(entry[0])
    # "Datatype: Half, Format: ..." or "Format/Datatype: Row major linear FP16 format": nothing else there is a type.
    return TensorNote(
        name=entry["name"], extents=extents or (1,), elements=math.prod(extents), type=_type(words[1].split(",")[0])
    )


def _counted(entry: re.Match[str]) -> TensorNote:
    return TensorNote(name="Weights", extents=(), elements=int(entry["count"]), type=_type(entry["type"]))


def _end(line: str) -> EndNote:
    entry = _END.search(line)
    if entry is None:
        raise _unreadable(line)
    return EndNote(
        name=entry["name"].strip(),
        mode=entry["mode"].capitalize(),
        type=_type(entry["type"]),
        extents=_extents(entry["dims"]),
    )


def _extents(dims: str) -> tuple[int, ...]:
    return tuple(int(extent) for extent in dims.split(",") if extent.strip())


def _type(words: str) -> str:
    for pattern, name in _TYPE_WORDS.items():
        if re.search(pattern, words.lower()):
            return name
    return words.strip()


def _unreadable(line: str) -> BackendError:
    return BackendError(
        f"expected a line of the library's layer report, found {line[:200]!r}; report it, with the version"
    )

"""Which layers stay in FP32 in an INT8 plan: those that lose the most votes in INT8, and no more than have to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.quantization.calibrate import TensorsData

from purecert.engine.backends.vote_limits import LIMITS
from purecert.engine.errors import CheckError
from purecert.engine.hardware import available_threads
from purecert.engine.plans.protocol_buffers import with_output
from purecert.export.gate.parity import Talk
from purecert.export.graph.program import LOGITS
from purecert.export.quantisation.quantise import products_of, quantised
from purecert.export.quantisation.ranges import Rows

# Within the gate's limits, so that other draws of other images pass there.
_LEAST_AGREEMENT = LIMITS["int8"].agreement + 0.01
_MOST_LOST = LIMITS["int8"].net_loss - 0.002
# Standard deviations of a measured net loss that chance may add: so few rows tell it no better, and the gate decides.
_CHANCE = 2
DRAWS = 32  # rows of one image, which lie together
_ROWS_FOR_A_LAYER = 256  # evenly spread, of which the loss of one layer is measured; all rows count for a choice
_BATCH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """The INT8 graph, and why layers are not in INT8 in it."""

    content: bytes
    kept: dict[str, str]  # path of a layer -> reason


def choose_layers(content: bytes, names: Sequence[str], ranges: TensorsData, rows: Rows, talk: Talk) -> Chosen:
    """Return the graph with as many layers in INT8 as agree with FP32 on ``rows`` as the gate will ask for.

    Each layer is first put into INT8 alone, and its loss measured. Then those of the largest loss are kept in FP32, as
    few of them as suffice.

    Args:
        content: The FP32 graph.
        names: Of its inputs.
        ranges: Of its tensors.
        rows: An array [rows, ...] for each input: ``DRAWS`` noisy rows of each of several images.
        talk: Hears what is being done.

    Raises:
        CheckError: Even one layer in INT8 loses too many votes, or the graph has no layer for INT8.
    """
    trial = _Trial(content, names, ranges, rows)
    layers = [node.name for node in products_of(trial.model)]
    if not layers:
        raise CheckError("no convolution or matrix product with weights to put into INT8; use --precision fp32")
    agreement, loss = trial.votes(layers)
    most = _most_lost(agreement, len(rows[0]))
    talk(
        f"INT8 in all {len(layers)} layers: {agreement:.1%} of the labels agree with FP32, "
        f"{_LEAST_AGREEMENT:.0%} are asked for; net loss of votes {loss:.2%}, at most {most:.2%}"
    )
    if _passes(agreement, loss, len(rows[0])):
        return Chosen(content=trial.graph(layers), kept={})
    talk(f"measuring what each of {len(layers)} layers loses in INT8 alone")
    losses = {layer: trial.loss(layer) for layer in layers}
    ordered = sorted(layers, key=lambda layer: losses[layer], reverse=True)
    count = _fewest(len(layers), lambda kept: _passes(*trial.votes(ordered[kept:]), len(rows[0])))
    if count == len(layers):
        raise CheckError(
            f"no layer can be in INT8: fewer than {_LEAST_AGREEMENT:.0%} of the labels would agree with FP32, or too "
            "many votes be lost; no plan was written, use --precision bf16 or fp32"
        )
    talk(f"{count} of {len(layers)} layers stay in FP32, those that lose the most")
    kept = {trial.path(layer): f"loses {losses[layer][0]:.1%} of the votes in INT8 alone" for layer in ordered[:count]}
    return Chosen(content=trial.graph([layer for layer in layers if layer in ordered[count:]]), kept=kept)


def _passes(agreement: float, loss: float, rows: int) -> bool:
    return agreement >= _LEAST_AGREEMENT and loss <= _most_lost(agreement, rows)


def _most_lost(agreement: float, rows: int) -> float:
    """Return the largest net loss of so many rows that is no more than asked for and chance.

    A net loss is a mean of values in {-1, 0, 1} that differ from 0 no more often than labels disagree.
    """
    return _MOST_LOST + _CHANCE * math.sqrt((1 - agreement) / rows)


def _fewest(most: int, passes: Callable[[int], bool]) -> int:
    """Return the fewest layers to keep that pass, by halving; ``most`` where no fewer do."""
    low, high = 0, most  # low does not pass
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high


@final
class _Trial:
    """The rows' labels and logits in FP32, and what of them is left with layers in INT8."""

    def __init__(self, content: bytes, names: Sequence[str], ranges: TensorsData, rows: Rows) -> None:
        self.model = onnx.load_from_string(content)
        self._names, self._ranges, self._rows = names, ranges, rows
        self._exact = self._logits(content)

    def graph(self, layers: Sequence[str]) -> bytes:
        """Return the graph with ``layers`` in INT8."""
        return quantised(self.model, layers, self._ranges)

    def votes(self, layers: Sequence[str]) -> tuple[float, float]:
        """Return the share of rows whose label stays with ``layers`` in INT8, and the mean net loss, as the gate's."""
        found = self._logits(self.graph(layers))
        labels, exact = (logits.argmax(axis=1).reshape(-1, DRAWS) for logits in (found, self._exact))
        majority = np.array([np.bincount(row).argmax() for row in exact])[:, None]
        loss = float(np.mean((exact == majority).mean(axis=1) - (labels == majority).mean(axis=1)))
        return float(np.mean(labels == exact)), loss

    def loss(self, layer: str) -> tuple[float, float]:
        """Return the share of some rows whose label ``layer`` alone changes, and the mean square change of logits."""
        every = max(1, len(self._exact) // _ROWS_FOR_A_LAYER)
        found, exact = self._logits(self.graph([layer]), every), self._exact[::every]
        changed = float(np.mean(found.argmax(axis=1) != exact.argmax(axis=1)))
        square = float(np.mean((found - exact) ** 2))
        return changed, square if math.isfinite(square) else math.inf

    def path(self, layer: str) -> str:
        """Return the path of the module that holds the weights of a layer."""
        (node,) = (node for node in self.model.graph.node if node.name == layer)
        return str(node.input[1].rpartition(".")[0] or node.name)

    def _logits(self, content: bytes, every: int = 1) -> NDArray[np.float32]:
        """Return the logits of the rows, or of one in ``every``."""
        options = ort.SessionOptions()
        options.log_severity_level = 3  # errors
        options.intra_op_num_threads = available_threads()
        session = ort.InferenceSession(with_output(content, LOGITS), options, providers=["CPUExecutionProvider"])
        parts = []
        rows = [array[::every] for array in self._rows]
        for start in range(0, len(rows[0]), _BATCH):
            batch = [array[start : start + _BATCH] for array in rows]
            parts += session.run([LOGITS], dict(zip(self._names, batch, strict=True)))
        return np.concatenate(parts)

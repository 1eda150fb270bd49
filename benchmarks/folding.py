"""What folding at a fixed sigma saves on full-size pipelines, and the export of one: time, memory, and that it runs.

    python benchmarks/folding.py DATA benchmarks/results/folding.json

The weights are random, since only shapes matter here. DATA names at least 20 real images of 32 x 32, such as
`cifar10:test[:32]` under --data-dir or `npz:FILE[:32]`.
"""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from pipelines import consistency_and_vit, consistency_and_wide_resnet, ddpm_and_vit
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from purecert.engine.hardware import available_threads, describe_cpu
from purecert.export.fusing.fold import fold
from purecert.export.fusing.fuse import FusedModel, fuse, graph_inputs
from purecert.export.graph.program import export_program, onnx_bytes
from purecert.train.models.checkpoints import Model, save_model

_SIGMA = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """One graph's size."""

    onnx_nodes: int
    parameters: int
    gflop_per_row: float  # convolutions and matrix products, two operations a multiplication


def main() -> None:
    """Count every pipeline, export the first one by its command, print a table and write the JSON."""
    torch.manual_seed(0)
    rows = {name: _compare(build()) for name, build in _PIPELINES.items()}
    print("| pipeline | ONNX nodes | parameters | GFLOP a row | largest relative difference |")
    print("| --- | --- | --- | --- | --- |")
    for name, row in rows.items():
        before, after = row["before"], row["after"]
        cells = (f"{before[key]} -> {after[key]}" for key in ("onnx_nodes", "parameters", "gflop_per_row"))
        print(f"| {name} | {' | '.join(cells)} | {row['relative_difference']:.1e} |")
    exported = _export(next(iter(_PIPELINES.values()))(), sys.argv[1])
    print(f"export: {exported['seconds']:.0f} s, {exported['peak_gib']:.2f} GiB")
    record = {
        "command": "python benchmarks/folding.py DATA benchmarks/results/folding.json",
        "hardware": f"{describe_cpu()}, {available_threads()} processors",
        "versions": {name: version(name) for name in ("purecert", "torch", "onnx", "onnxruntime", "transformers")},
        "weights": "random",
        "sigma": _SIGMA,
        "pipelines": rows,
        "export": exported,
    }
    Path(sys.argv[2]).write_text(json.dumps(record, indent=1) + "\n")


def _compare(model: Model) -> dict[str, Any]:
    """Return both graphs' sizes, and how far their logits lie apart, relative to the largest."""
    fused, folded = fuse(model, _SIGMA), fold(model, _SIGMA)
    pixels = torch.randint(-100, 356, (2, *model.input_shape)).float()
    with torch.inference_mode():
        expected, found = fused(pixels)[1], folded(pixels)[1]
    difference = float((found - expected).abs().max() / expected.abs().max())
    before, after = asdict(_size(fused, model)), asdict(_size(folded, model))
    return {"before": before, "after": after, "relative_difference": difference}


def _size(module: FusedModel, model: Model) -> Size:
    import onnx

    inputs = graph_inputs(model, [_SIGMA], "fp32")
    graph = onnx.load_from_string(onnx_bytes(export_program(module, inputs), inputs)).graph
    # The CPU's fused attention is not counted; its formula written out is.
    with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *model.input_shape))
    return Size(
        onnx_nodes=len(graph.node),
        parameters=sum(weight.numel() for weight in module.parameters()),
        gflop_per_row=round(counter.get_total_flops() / 1e9, 3),
    )


def _export(model: Model, data: str) -> dict[str, Any]:
    """Return what `engine-export` of the model took in a process of its own, and what it said."""
    options = ["--sigma", str(_SIGMA), "--data", data, "--parity-draws", "64", "--json"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.pt"
        save_model(model, path)
        command = ["engine-export", str(path), "-o", str(Path(folder) / "plan"), *options]
        began = perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = perf_counter() - began
        graph = Path(folder) / "plan" / f"sigma-{_SIGMA}.onnx"
        plan = json.loads(done.stdout)
        return {
            "command": "engine-export model.pt -o plan --sigma 0.5 --data DATA --parity-draws 64 --json",
            "seconds": round(seconds, 1),
            "peak_gib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
            "onnx_bytes": graph.stat().st_size,
            "sources": plan["sources"],
            "parity": plan["parity"],
            "one_batch_in_onnxruntime": _run_once(graph),
            "said": [line for line in done.stderr.splitlines() if line.startswith("in FP32")],
        }


def _run_once(graph: Path) -> dict[str, Any]:
    """Return how long ONNX Runtime takes for one batch of two noisy rows, and its labels."""
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    rows = np.random.default_rng(0).integers(-100, 356, (2, 3, 32, 32)).astype(np.float16)
    began = perf_counter()
    (labels,) = session.run(["label"], {"pixels": rows})
    return {"seconds": round(perf_counter() - began, 2), "labels": labels.tolist()}


_PIPELINES: Mapping[str, Callable[[], Model]] = {
    "consistency model (56.4 M) and ViT-B/16": consistency_and_vit,
    "consistency model (56.4 M) and WRN-28-10": consistency_and_wide_resnet,
    "improved-diffusion (52.5 M) and ViT-B/16": ddpm_and_vit,
}


if __name__ == "__main__":
    main()

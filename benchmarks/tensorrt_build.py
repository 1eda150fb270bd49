"""What building engines with TensorRT-RTX takes without a GPU, from engine-export's own files, and what is in them.

    python benchmarks/tensorrt_build.py DATA benchmarks/results/tensorrt/build.json

The demo's plan, and the full-size pipelines of CIFAR-10 with random weights, since only shapes matter here. DATA names
at least 20 real images of 32 x 32, such as `cifar10:test[:32]` or `npz:FILE[:32]`. No engine is run.
"""

import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from provenance import provenance, write_result

_SIGMA = 0.5
_BATCH = 256
_GPUS = ("sm_89", "sm_120")
_VERSIONS = ("tensorrt-rtx-cu13-bindings", "tensorrt-rtx-cu13-libs", "torch", "onnx", "onnxscript")
_DEMO = "demo"
# Name -> the function in pipelines.py that makes the model.
_PIPELINES = {
    _DEMO: _DEMO,
    "consistency model (56.4 M) and ViT-B/16": "consistency_and_vit",
    "consistency model (56.4 M) and WRN-28-10": "consistency_and_wide_resnet",
    "improved-diffusion (52.5 M) and ViT-B/16": "ddpm_and_vit",
}
_BUILD = "build"  # the first argument of a process that builds one engine


def main() -> None:
    """Export every pipeline, build it for every GPU in a process of its own, print a table and write the JSON."""
    data, target = sys.argv[1], Path(sys.argv[2])
    rows = {name: _measure(build, data) for name, build in _PIPELINES.items()}
    print("| pipeline | GPU | build | peak memory | engine | layers | products in half | in FP32 |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for name, row in rows.items():
        for gpu, built in row["engines"].items():
            report = built["report"]
            sizes = f"{built['seconds']:.1f} s | {built['peak_gib']:.2f} GiB | {built['bytes'] / 2**20:.0f} MiB"
            counts = f"{report['layers']} | {report['half_products']} | {', '.join(report['fp32_products'])}"
            print(f"| {name} | {gpu} | {sizes} | {counts} |")
    numbers = {
        "weights": "the demo's own; random in the others",
        "sigma": _SIGMA,
        "batch": _BATCH,
        "pipelines": rows,
    }
    write_result(target, provenance(_VERSIONS), numbers)


def _measure(build: str, data: str) -> dict[str, Any]:
    """Return the size of a pipeline's graph, and what building its engine took for every GPU."""
    with tempfile.TemporaryDirectory() as folder:
        model, plan = Path(folder) / "model.pt", Path(folder) / "plan"
        source = [_DEMO] if build == _DEMO else [str(model), "--data", data]
        if build != _DEMO:
            _save(build, model)
        command = ["engine-export", *source, "-o", str(plan), "--sigma", str(_SIGMA), "--parity-draws", "64"]
        subprocess.run(command, check=True)
        onnx = plan / f"sigma-{_SIGMA}.onnx"
        engines = {gpu: _build_apart(plan, gpu) for gpu in _GPUS}
        return {"onnx_bytes": onnx.stat().st_size, "engines": engines}


def _build_apart(plan: Path, gpu: str) -> dict[str, Any]:
    """Return what a fresh process took to build one engine, so that the peak of its memory is its own."""
    command = [sys.executable, __file__, _BUILD, str(plan), gpu]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout))


def _build(directory: Path, gpu: str) -> None:
    """Build one engine and print what it took as JSON."""
    from purecert.engine.backends.tensorrt.build import BuildOptions
    from purecert.engine.backends.tensorrt.cache import open_engine
    from purecert.engine.backends.tensorrt.target import any_gpu
    from purecert.engine.plans.plan import read_plan

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    engine = open_engine(
        read_plan(directory), _SIGMA, _BATCH, "tensorrt-rtx", any_gpu(gpu), BuildOptions(), trust=False
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    told = {key: value for key, value in engine.told().items() if key in ("bytes", "report")}
    memory = {"peak_gib": round(peak / 2**20, 2), "peak_before_gib": round(before / 2**20, 2)}
    print(json.dumps({"seconds": engine.build_seconds, **memory, **told}))


def _save(build: str, path: Path) -> None:
    """Write a full-size model of random weights; ``build`` names the function that makes it."""
    import pipelines
    import torch

    from purecert.train.models.checkpoints import save_model

    torch.manual_seed(0)
    save_model(getattr(pipelines, build)(), path)


if __name__ == "__main__":
    if sys.argv[1] == _BUILD:
        _build(Path(sys.argv[2]), sys.argv[3])
    else:
        main()

"""A plan to measure: the demo's, or a pipeline with random weights, exported to FP16 by engine-export."""

from pathlib import Path
from time import perf_counter
from typing import Any

import click
import numpy as np
import torch
from gpu.command import run_engine
from gpu.record import print_table, write_record
from gpu.setting import SEED, SIGMA, Setting, read_setting
from pipelines import PIPELINES

from purecert.engine.commands.console import EngineCommand
from purecert.train.models.checkpoints import save_model

_IMAGES = 100
# The gate of random weights proves nothing, and 78 GFLOP a row take their time on a CPU: the fewest images it accepts.
_GATE_IMAGES, _GATE_DRAWS = 20, 20
# Small networks cost little. A near tie among them, which another processor breaks otherwise, must not fail.
_SMALL_GATE_DRAWS = 200
_NOTE = "with random weights nearly every draw has the same label, so that agreement of labels says little"


@click.command(cls=EngineCommand)
@click.argument("name", type=click.Choice(["demo", *PIPELINES]))
def main(name: str) -> None:
    """Write model, images and plan NAME into the work folder."""
    setting = read_setting()
    if name != "demo":
        _write_pipeline(setting, name)
    draws = setting.pick(2000, 200) if name == "demo" else setting.pick(_GATE_DRAWS, _SMALL_GATE_DRAWS)
    began = perf_counter()
    plan = _export(setting, name, draws)
    seconds = perf_counter() - began
    graph = next(setting.plan(name).glob("*.onnx"))
    numbers = {
        "seconds": round(seconds, 1),
        "parity_draws": draws,
        "sources": plan["sources"],
        "note": "" if name == "demo" else _NOTE,
        "parity": plan["parity"],
        "onnx_bytes": graph.stat().st_size,
    }
    write_record(setting, f"plan-{name}", numbers)
    rows = [(p["backend"], p["draws"], p["agreement"]) for p in plan["parity"]]
    print_table(("gate of", "draws", "agreement"), rows)


def _write_pipeline(setting: Setting, name: str) -> None:
    """Write the model, and images of random pixels: no data set is at hand on a bare image."""
    torch.manual_seed(SEED)
    full_size, small = PIPELINES[name]
    model = setting.pick(full_size, small)()
    path = Path(setting.model(name))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(model, path, force=True)
    pixels = np.random.default_rng(SEED).integers(0, 256, (_IMAGES, *model.input_shape), np.uint8)
    np.savez(path.parent / "images.npz", x=pixels)


def _export(setting: Setting, name: str, draws: int) -> dict[str, Any]:
    """Return what `engine-export` prints."""
    data = setting.data(name) if name == "demo" else f"{setting.data(name)}[:{_GATE_IMAGES}]"
    places = [setting.model(name), "--data", data, "--out", str(setting.plan(name))]
    options = ["--sigma", str(SIGMA), "--precision", "fp16", "--parity-draws", str(draws), "--force"]
    setting.plan(name).parent.mkdir(parents=True, exist_ok=True)
    plan: dict[str, Any] = run_engine("export", *places, *options, of=name)
    return plan


if __name__ == "__main__":
    main()

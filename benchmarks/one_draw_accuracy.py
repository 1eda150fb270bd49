"""How often a purified image is classified right from a single noisy draw, over 20 draws an image.

    python benchmarks/one_draw_accuracy.py MODEL DATA SIGMA... [--data-dir DIR]

prints one JSON object. Eager FP32, the engine's own noise (seed 0, estimation draws 0 to 19).
"""

import json
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from purecert.engine.hardware import available_threads, describe_cpu
from purecert.engine.images.datasets import Dataset, load_dataset
from purecert.engine.noise.rows import draw
from purecert.export.fusing.fuse import FusedModel, fuse
from purecert.train.models.checkpoints import load_model

_DRAWS = 20
_BATCH = 125


@click.command()
@click.argument("model_path", metavar="MODEL", type=click.Path(path_type=Path))
@click.argument("data")
@click.argument("sigmas", metavar="SIGMA...", type=float, nargs=-1, required=True)
@click.option("--data-dir", type=click.Path(path_type=Path))
def main(model_path: Path, data: str, sigmas: tuple[float, ...], data_dir: Path | None) -> None:
    """Print the accuracy of MODEL on DATA at each SIGMA: its mean over the draws, and each draw's."""
    model, images = load_model(model_path), load_dataset(data, data_dir)
    if model.purifier.noise_inputs(sigmas[0]):
        raise click.UsageError("expected a purifier without noise of its own")
    results = []
    for sigma in sigmas:
        accuracies = [_accuracy(fuse(model, sigma), images, sigma, number) for number in range(_DRAWS)]
        results.append(
            {
                "sigma": sigma,
                "t": model.purifier.timestep(sigma),
                "mean": round(float(np.mean(accuracies)), 4),
                "std_of_a_draw": round(float(np.std(accuracies, ddof=1)), 4),
                "draws": accuracies,
            }
        )
    record = {
        "model": model.sources,
        "time_rule": model.purifier.time_rule,
        "data": images.name,
        "images": len(images),
        "hardware": f"{describe_cpu()}, {available_threads()} processors",
        "versions": {name: version(name) for name in ("purecert", "torch")},
        "results": results,
    }
    print(json.dumps(record, indent=1))


def _accuracy(module: FusedModel, data: Dataset, sigma: float, number: int) -> float:
    """Return the share of images classified right with draw ``number`` of their noise."""
    right = 0
    for first in range(0, len(data), _BATCH):
        rows = slice(first, first + _BATCH)
        pixels = torch.from_numpy(_noisy(data.images[rows], data.indices[rows], sigma, number))
        with torch.inference_mode():
            labels = module(pixels)[0]
        right += int((labels.numpy() == data.labels[rows]).sum())
    return right / len(data)


def _noisy(images: NDArray[np.uint8], indices: NDArray[np.int64], sigma: float, number: int) -> NDArray[np.float32]:
    count = int(np.prod(images.shape[1:]))
    noise = [draw(sigma, seed=0, image=int(i), phase=1, draw=number, count=count) for i in indices]
    return (images + np.stack(noise).reshape(images.shape)).astype(np.float32)


if __name__ == "__main__":
    main()

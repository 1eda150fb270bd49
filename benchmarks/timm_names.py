"""Which of 20 common timm networks export in FP16 and FP32, at their smallest usable size, on small images.

    OMP_NUM_THREADS=1 PYTHONPATH=TIMM nice python benchmarks/timm_names.py DATA DATA_DIR OUT.json [NAME ...]

DATA names at least 20 real images of 32 x 32, such as `cifar10:test[:20]` under DATA_DIR. A cell is one name in one
precision; those that OUT.json holds are not computed again. TIMM is a folder with timm and its torchvision, as
`.ci/run` makes one. The weights are random, from a fixed seed. As after training, running statistics are those of noisy
images and no branch is born as zero; each logit has mean 0 and deviation 1 over noisy images, so that the classes share
the votes. The gate draws 400 times, and its results are marked as reduced.
"""

import json
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, get_args

import torch
from provenance import provenance, write_result
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from purecert.engine.errors import CheckError, PurecertError
from purecert.engine.images.datasets import Dataset, load_dataset
from purecert.engine.plans.plan import Plan, Precision
from purecert.export.fusing.fold import fold
from purecert.export.fusing.fuse import fuse
from purecert.export.fusing.precision import to_half
from purecert.export.pipeline import ExportSpec, export_plan
from purecert.train.models.checkpoints import Model
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier

_SIGMA, _CLASSES, _DRAWS, _LEAST_VOTED = 0.25, 10, 400, 5
# name -> the size of what the network sees; None for one that takes images as small as 32 pixels by itself.
_SIZES: Mapping[str, int | None] = {
    **dict.fromkeys(("resnet18", "resnext50_32x4d", "seresnet50", "densenet121", "efficientnet_b0")),
    **dict.fromkeys(("tf_efficientnet_b0", "efficientnet_lite0", "mobilenetv3_small_050", "regnety_002", "repvgg_a0")),
    **dict.fromkeys(("convnext_atto", "convnextv2_atto")),
    "vit_tiny_patch16_224": 32,
    "deit_tiny_patch16_224": 32,
    "swin_tiny_patch4_window7_224": 64,
    "levit_128s": 64,
    "mixer_s32_224": 64,
    "xcit_nano_12_p8_224": 32,
    **dict.fromkeys(("efficientvit_b0", "hrnet_w18_small")),
}


def main() -> None:
    """Compute every cell that the file lacks, and print the table."""
    data, directory, path, *names = sys.argv[1:]
    if unknown := set(names) - set(_SIZES):
        sys.exit(f"expected names out of {', '.join(_SIZES)}, got {', '.join(sorted(unknown))}")
    images, output = load_dataset(data, Path(directory)), Path(path)
    head = provenance(("torch", "onnx", "onnxscript", "onnxruntime", "timm"), environment="OMP_NUM_THREADS=1")
    cells: dict[str, Any] = json.loads(output.read_text())["cells"] if output.exists() else {}
    for name in names or _SIZES:
        for precision in get_args(Precision):
            key = f"{name} {precision}"
            if key not in cells:
                cells[key] = {"commit": head["commit"], **_cell(name, precision, images)}
                write_result(output, head, {"draws": _DRAWS, "sigma": _SIGMA, "data": images.name, "cells": cells})
                print(f"{key}: {cells[key]['outcome']} {cells[key]['said']}", file=sys.stderr, flush=True)
    print("\n".join(table(cells)))


def table(cells: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the rows of a table in Markdown, one a name."""
    rows = ["| name | pixels | FP16 | FP32 | in FP32 in an FP16 plan |", "|---|---:|---|---|---:|"]
    for name in dict.fromkeys(key.rsplit(" ", 1)[0] for key in cells):
        half, full = (cells.get(f"{name} {precision}", {}) for precision in ("fp16", "fp32"))
        sizes = {cell["pixels"] for cell in (half, full) if cell}
        rows.append(f"| `{name}` | {max(sizes)} | {_told(half)} | {_told(full)} | {half.get('islands', '')} |")
    return rows


def _told(cell: Mapping[str, Any]) -> str:
    return f"{cell['outcome']}, {cell['agreement']:.2%}" if cell.get("agreement") else cell.get("outcome", "not run")


def _cell(name: str, precision: Precision, images: Dataset) -> dict[str, Any]:
    """Return what came of one export: its outcome, what was said, and how many classes got votes."""
    began = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of timm's and torchvision's own making
        model = _model(name, images)
        facts = {"pixels": _SIZES[name] or images.images.shape[-1], "voted": _voted(model, images)}
        if facts["voted"] < _LEAST_VOTED:
            raise RuntimeError(f"{name}: {facts['voted']} classes get votes, which compares nothing")
        spec = ExportSpec(sigmas=(_SIGMA,), precision=precision, parity_draws=_DRAWS)
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = _exported(export_plan(model, spec, images, Path(folder) / "plan"))
            except PurecertError as error:
                found = {"said": str(error), **_kind(error, model, images)}
    return {**facts, **found, "seconds": round(perf_counter() - began, 1)}


def _exported(plan: Plan) -> dict[str, Any]:
    record = plan.record
    return {
        "outcome": "exported",
        "said": "",
        "agreement": min(parity.agreement for parity in record.parity),
        "parity": [f"{parity.backend}: {parity.draws} draws, agreement {parity.agreement}" for parity in record.parity],
        "islands": len(record.fp32_islands),
    }


def _kind(error: PurecertError, model: Model, images: Dataset) -> dict[str, Any]:
    """Return whether an export was refused, or failed at the gate, and there by which votes.

    A margin is the distance of a row's two largest FP32 logits, in deviations of all logits. The gate failed by near
    ties where no vote changed whose margin is half of what a row has in the middle.
    """
    if not isinstance(error, CheckError) or "does not vote" not in str(error):
        return {"outcome": "refused"}
    rows = _noisy(images)[:100]
    with torch.inference_mode():
        exact, half = fuse(model, _SIGMA)(rows)[1], to_half(fold(model, _SIGMA))[0](rows.half())[1]
    best, second = exact.topk(2, dim=1).values.unbind(1)
    margins = (best - second) / exact.std()
    changed, middle = margins[exact.argmax(dim=1) != half.argmax(dim=1)], float(margins.median())
    largest = float(changed.max()) if len(changed) else 0.0
    return {
        "outcome": "near ties" if len(changed) and largest < middle / 2 else "gate",
        "rows": len(rows),
        "changed": len(changed),
        "largest_changed_margin": round(largest, 4),
        "median_margin": round(middle, 4),
        "difference_rms": round(float((exact - half).square().mean().sqrt() / exact.std()), 5),
    }


def _noisy(images: Dataset) -> Tensor:
    """Return ten noisy draws of each image, as whole numbers."""
    clean = torch.from_numpy(images.images.astype("float32")).repeat(10, 1, 1, 1)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    return (clean + 255 * _SIGMA * noise).round()


def _voted(model: Model, images: Dataset) -> int:
    with torch.inference_mode():
        return len(fuse(model, _SIGMA)(_noisy(images))[0].unique())


def _model(name: str, images: Dataset) -> Model:
    """Return a network of timm alone, with random weights at which all of it matters."""
    import timm

    torch.manual_seed(0)
    size = _SIZES[name]
    options = {} if size is None else {"img_size": size}
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=_CLASSES, **options).eval()
    recorded = network.pretrained_cfg
    wanted = PreprocessingConfig(
        mean=tuple(recorded["mean"]), std=tuple(recorded["std"]), size=None if size == images.images.shape[-1] else size
    )
    model = Model(
        purifier=IdentityPurifier(IdentityConfig()).eval(),
        classifier=network.requires_grad_(False),
        preprocessing=Preprocessing(wanted).eval(),
        input_shape=tuple(images.images.shape[1:]),
        classes=_CLASSES,
        sources=(f"timm:{name}, random weights of seed 0",),
    )
    _wake(network)
    _calibrate(model, network, _noisy(images))
    return model


def _wake(network: nn.Module) -> None:
    """Give branches that are born as zero, or nearly so, weights that matter."""
    for name, weight in network.named_parameters():
        if not name.endswith("bias") and float(weight.abs().max()) < 1e-3:
            nn.init.uniform_(weight, 0.3, 0.7)


def _calibrate(model: Model, network: nn.Module, rows: Tensor) -> None:
    """Set running statistics to those of ``rows``, and the last layer so that every logit is standard over them."""
    fused = fuse(model, _SIGMA)  # puts all into eval mode
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    head = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        fused(rows)
        for norm in norms:
            norm.eval()
        logits = fused(rows)[1]
        deviation, mean = logits.std(dim=0), logits.mean(dim=0)
        head.weight.div_(deviation[:, None])
        head.bias.copy_((head.bias - mean) / deviation)


if __name__ == "__main__":
    main()

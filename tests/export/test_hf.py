"""Image classifiers of Hugging Face folders become plans that vote as they do."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import purecert
from purecert.engine.images.datasets import load_dataset
from purecert.export.fusing.fold import fold
from purecert.export.fusing.fuse import fuse
from purecert.export.pipeline import ExportSpec, export_plan
from purecert.train.importing.assemble import ImportSpec, Source, import_model
from purecert.train.models.checkpoints import Model
from support.hf_files import HF_CLASSES, NAMES, write_hf, write_hf_input


def _import(folder: Path, kind: str = "hf", **choices: Any) -> Model:
    identity = Source(kind="identity", path=None)
    return import_model(ImportSpec(purifier=identity, classifier=Source(kind=kind, path=folder), **choices))


@pytest.mark.parametrize(("network", "kind"), [("vit", "hf-vit"), ("vit", "hf"), ("resnet", "hf")])
def test_folding_keeps_the_crop(tmp_path: Path, network: str, kind: str) -> None:
    """Here the crop is all that is done to images, whose range is the network's."""
    write_hf(tmp_path, network)
    write_hf_input(tmp_path, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    model = _import(tmp_path, kind, image_size=36)
    pixels = torch.randint(0, 256, (2, 3, 36, 36), generator=torch.Generator().manual_seed(0)).float()
    moved = torch.zeros_like(pixels)
    moved[:, :, 2:34, 2:34] = pixels[:, :, 2:34, 2:34]
    with torch.inference_mode():
        expected, found, cropped = (
            fuse(model, 0.25)(pixels)[1],
            fold(model, 0.25)(pixels)[1],
            fuse(model, 0.25)(moved)[1],
        )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)
    assert torch.equal(cropped, expected)  # what lies outside of the crop is not seen


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    ["swin", pytest.param("resnet", marks=pytest.mark.nightly), pytest.param("vit", marks=pytest.mark.nightly)],
)
def test_a_folder_becomes_a_plan_that_passes_the_gate_and_certifies(tmp_path: Path, network: str) -> None:
    write_hf(tmp_path / "own", network, id2label=dict(enumerate(NAMES)))
    write_hf_input(tmp_path / "own")
    blocks = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4)).astype(np.uint8)
    np.savez(tmp_path / "images.npz", images=blocks.repeat(8, 2).repeat(8, 3), labels=np.arange(20) % HF_CLASSES)
    model = _import(tmp_path / "own", image_size=32)
    data = load_dataset(f"npz:{tmp_path / 'images.npz'}")
    plan = export_plan(model, ExportSpec(sigmas=(0.1,), parity_draws=400), data, tmp_path / "plan")
    assert plan.record.class_names == tuple(NAMES)
    assert {measured.backend for measured in plan.record.parity} >= {"torch", "onnxruntime"}
    run = purecert.certify(plan, f"npz:{tmp_path / 'images.npz'}[:1]", sigma=0.1, n=200, n0=20, threads=1)
    assert len(run.outcomes) == 1

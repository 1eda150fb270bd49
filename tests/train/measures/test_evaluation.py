"""engine-train evaluate: what it says is what eager PyTorch says, and certificates are those of the model it names."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from purecert.engine.commands.certify import certify_command
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset, load_dataset
from purecert.engine.noise.rows import draw
from purecert.engine.records.run import read_run
from purecert.engine.reports.summary import summarise
from purecert.export.fusing.fuse import fuse
from purecert.train.measures.certified import certified_accuracy
from purecert.train.measures.command import evaluate_command
from purecert.train.measures.evaluation import Evaluation, evaluate, evaluation_text
from purecert.train.measures.one_draw import judge_of, noisy_rows, one_draw
from purecert.train.models.checkpoints import Model, demo_model_path, load_model, save_model
from purecert.train.networks.resnet import ResNet, ResNetConfig
from purecert.train.purifiers.consistency import MultistepConfig, MultistepPurifier
from purecert.train.purifiers.identity import IdentityConfig, IdentityPurifier
from support.rrcm_models import rrcm_model

_IMAGES, _SIGMA = "digits:test[:40]", 0.5


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_dataset(_IMAGES)


@pytest.fixture(scope="module")
def demo() -> Model:
    return load_model(demo_model_path())


@pytest.fixture(scope="module")
def bare(demo: Model, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Model]:
    """Return the demo's classifier without a purifier, and its file."""
    path = tmp_path_factory.mktemp("bare") / "bare.pt"
    save_model(replace(demo, purifier=IdentityPurifier(IdentityConfig()).eval()), path)
    return path, load_model(path)


@pytest.fixture(scope="module")
def run(demo_plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certified") / "run"
    draws = ["--n0", "20", "--n", "200", "--probe-rows", "100", "--seed", "1"]
    arguments = ["--plan", str(demo_plan), "--data", _IMAGES, "--sigma", "0.5", *draws, "--out", str(folder)]
    ended = CliRunner().invoke(certify_command, arguments)
    assert ended.exit_code == 0, ended.output
    return folder


@pytest.fixture(scope="module")
def table(demo: Model, bare: tuple[Path, Model], data: Dataset, run: Path) -> Evaluation:
    return evaluate([("demo", demo), ("bare", bare[1])], data, (0.25, _SIGMA), runs=[run], seed=3)


def test_labels_and_transport_are_those_of_the_fused_model_on_the_engines_noise(demo: Model, data: Dataset) -> None:
    found = one_draw(demo.purifier, judge_of(demo, _SIGMA), data, _SIGMA, seed=3, batch=7)
    noise = [draw(_SIGMA, seed=3, image=int(i), phase=1, draw=0, count=64) for i in data.indices]
    pixels = torch.from_numpy((data.images + np.stack(noise).reshape(data.images.shape)).astype(np.float32))
    clean = torch.from_numpy(data.images.astype(np.float32))
    with torch.inference_mode():
        for levels, right in ((pixels, found.right), (clean, found.clean)):
            labels = fuse(demo, _SIGMA)(levels)[0].numpy()
            np.testing.assert_array_equal(labels == data.labels, right)
        purified = (demo.purifier(pixels / 127.5 - 1, _SIGMA) + 1) / 2
    moved = (purified.double() - clean.double() / 255).square().sum(dim=(1, 2, 3)).sqrt()
    np.testing.assert_allclose(found.transport, moved.numpy(), rtol=1e-5)
    assert 0.5 < found.right.mean() <= 1


def test_a_classifier_that_takes_the_noise_level_is_asked_at_each_sigma_and_judges_nobody_else(data: Dataset) -> None:
    model = rrcm_model()
    (row,) = evaluate([("rrcm", model)], data, (0.25, _SIGMA), seed=3).rows
    for at in row.measured:
        noisy = torch.from_numpy(noisy_rows(data, slice(None), at.sigma, 3))
        labels = fuse(model, at.sigma)(noisy)[0].numpy()
        assert at.one_draw == np.mean(labels == data.labels)
    with pytest.raises(InputError, match="--judge: expected a classifier of images without noise"):
        evaluate([("rrcm", model)], data, (_SIGMA,), judge=model)


def test_without_a_purifier_the_transport_is_the_noise_and_more_noise_lies_farther_away(table: Evaluation) -> None:
    demo, bare = (row.measured[1] for row in table.rows)
    assert bare.transport == pytest.approx(_SIGMA * 8, rel=0.05)  # sigma sqrt(64)
    for row in table.rows:
        less, more = row.measured
        assert 0 < less.frechet < more.frechet
        assert less.transport < more.transport
    assert demo.transport < bare.transport
    assert bare.t is None
    assert demo.t == 1.0


def test_the_second_row_has_its_paired_difference_to_the_first(
    table: Evaluation, demo: Model, bare: tuple[Path, Model], data: Dataset
) -> None:
    first, second = (row.measured[1] for row in table.rows)
    assert first.over_first is None
    assert second.over_first is not None
    assert second.over_first.mean == pytest.approx(second.one_draw - first.one_draw)
    assert second.over_first.low < second.over_first.mean < second.over_first.high
    judged = evaluate([("demo", demo), ("bare", bare[1])], data, (_SIGMA,), judge=demo, seed=3)
    assert judged.judge == demo.sha256
    assert [row.measured[0].one_draw for row in judged.rows] == [first.one_draw, second.one_draw]


def test_certificates_stand_in_the_row_of_their_model_and_sigma(table: Evaluation, run: Path) -> None:
    summary = summarise(read_run(run))
    (certified,) = table.rows[0].measured[1].certified
    assert certified.accuracy == tuple(at.images / 40 for at in summary.certified_at)
    assert certified.accuracy[0] > 0.5
    assert (certified.n, certified.images, certified.radii) == (200, 40, (0.0, 0.25, 0.5, 0.75, 1.0))
    assert any("seed given" in mark for mark in certified.marks)
    others = [table.rows[0].measured[0], *table.rows[1].measured]
    assert [at.certified for at in others] == [(), (), ()]


def test_a_run_of_another_model_sigma_data_or_classifier_is_refused(
    demo: Model, bare: tuple[Path, Model], data: Dataset, run: Path
) -> None:
    with pytest.raises(InputError, match="expected a plan of one of these models"):
        evaluate([("bare", bare[1])], data, (_SIGMA,), runs=[run])
    with pytest.raises(InputError, match=r"add --sigma 0\.5"):
        evaluate([("demo", demo)], data, (0.25,), runs=[run])
    images = load_dataset("digits:test[:50]")
    (certified,) = evaluate([("demo", demo)], images, (_SIGMA,), runs=[run]).rows[0].measured[0].certified
    assert certified.images == 40  # of the 50
    inverted = replace(data, images=255 - data.images)
    for others in (load_dataset("digits:train[:9]"), load_dataset("digits:test[:39]"), inverted):
        with pytest.raises(InputError, match=f"a run on other images than those of --data, {others.name}"):
            evaluate([("demo", demo)], others, (_SIGMA,), runs=[run])
    other = replace(demo, classifier=ResNet(ResNetConfig(classes=10, in_channels=1)).eval())
    with pytest.raises(InputError, match="--judge is another one"):
        evaluate([("demo", demo)], data, (_SIGMA,), judge=other, runs=[run])


def test_folders_named_by_numbers_are_these_classes(demo: Model, data: Dataset, tmp_path: Path) -> None:
    assert data.labels is not None
    for index, label in enumerate(data.labels.tolist()):
        if label in (3, 8):
            folder = tmp_path / "digits" / str(label)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(data.images[index, 0]).save(folder / f"{index}.png")
    model, out = tmp_path / "model.pt", tmp_path / "table.json"
    save_model(demo, model)
    arguments = [model, "--data", f"folder:{tmp_path / 'digits'}", "--sigma", "0.25", "--out", out]
    ended = CliRunner().invoke(evaluate_command, [str(argument) for argument in arguments])
    assert ended.exit_code == 0, ended.output
    assert json.loads(out.read_text())["rows"][0]["measured"][0]["clean"] > 0.8


def test_a_run_that_is_not_finished_is_refused(run: Path, tmp_path: Path) -> None:
    part = shutil.copytree(run, tmp_path / "part")
    lines = (run / "certificates.jsonl").read_bytes().splitlines(keepends=True)
    (part / "certificates.jsonl").write_bytes(b"".join(lines[:5]))
    with pytest.raises(InputError, match="expected a finished run, found 5 of 40 images"):
        certified_accuracy(part)


def test_the_text_says_what_to_know_of_the_certificates(table: Evaluation) -> None:
    assert "Certified in run: 40 of these images, n = 200, alpha 0.001 each; " in evaluation_text(table)
    assert "seed given" in evaluation_text(table)


def test_a_run_whose_plan_is_another_by_now_is_refused(run: Path, demo_plan: Path, tmp_path: Path) -> None:
    copy, other = shutil.copytree(run, tmp_path / "run"), shutil.copytree(demo_plan, tmp_path / "plan")
    record = json.loads((other / "plan.json").read_text())
    (other / "plan.json").write_text(json.dumps(record | {"licence": "another"}))
    said = json.loads((copy / "invocation.json").read_text())
    (copy / "invocation.json").write_text(json.dumps(said | {"plan": str(other)}))
    with pytest.raises(InputError, match="expected the plan that it was made with"):
        certified_accuracy(copy)


def test_what_does_not_fit_is_said(demo: Model, data: Dataset) -> None:
    fresh = replace(demo, purifier=MultistepPurifier(MultistepConfig(), demo.purifier.network))
    with pytest.raises(InputError, match="without noise of its own"):
        evaluate([("fresh", fresh)], data, (_SIGMA,))
    with pytest.raises(InputError, match="measuring needs labels"):
        evaluate([("demo", demo)], replace(data, labels=None), (_SIGMA,))
    with pytest.raises(InputError, match=r"demo: expected images \(1, 8, 8\) of 10 classes"):
        evaluate([("demo", demo)], replace(data, images=data.images[:, :, :4]), (_SIGMA,))


def test_the_command_prints_a_table_and_writes_the_same_numbers(bare: tuple[Path, Model], tmp_path: Path) -> None:
    options = ["--data", "digits:test[:20]", "--sigma", "0.25,0.5", "--out", str(tmp_path / "table.json")]
    files = [str(demo_model_path()), str(bare[0])]
    shown = CliRunner().invoke(evaluate_command, [*files, *options])
    record = json.loads((tmp_path / "table.json").read_text())
    assert [row["name"] for row in record["rows"]] == ["digits", "bare"]
    first = record["rows"][0]["measured"][1]
    assert f"{first['one_draw']:.4f}" in shown.output
    assert "20 images of digits:test" in shown.output
    assert record["features"].startswith("the 32 inputs of fc")
    again = CliRunner().invoke(evaluate_command, [*files, *options])
    assert (again.exit_code, "exists already" in again.output) == (2, True)
    wrong = CliRunner().invoke(evaluate_command, [*files, "--data", "digits:test[:20]", "--sigma", "half"])
    assert (wrong.exit_code, "expected --sigma as numbers" in wrong.output) == (2, True)

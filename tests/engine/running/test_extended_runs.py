"""Runs whose draws are continued: the same bytes whatever way they were made, and nothing that was not planned."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner

from purecert.engine.backends.base import BackendOptions
from purecert.engine.commands.certify import certify_command
from purecert.engine.commands.report import report_command
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan, write_plan
from purecert.engine.procedures.certify import certificates
from purecert.engine.procedures.conclusions import conclude
from purecert.engine.procedures.extending import extended
from purecert.engine.procedures.outcomes import Certificate, stops_of
from purecert.engine.procedures.spec import ExtensionSpec, SmoothingSpec
from purecert.engine.records.ledger import read_usage
from purecert.engine.records.run import Run, read_run
from purecert.engine.records.run_record import EarlierImages
from purecert.engine.reports.bonferroni import at_shared_alpha
from purecert.engine.running.extending import check_extended, extended_spec
from purecert.engine.running.progress import SilentProgress
from purecert.engine.running.run import RunRequest, execute
from support.commands import Ended, engine, engine_arguments
from support.forgery import lines_of, reseal_all, seal
from support.interrupting import Interrupted
from support.verifying import IMAGES, certified_run, plane_and_images, verify

_FIRST, _LAST, _SEED = 200, 900, 77
_SPEC = SmoothingSpec(
    mode="certify",
    sigma=0.5,
    n_select=30,
    n_estimate=_FIRST,
    extension=ExtensionSpec(n_first=_FIRST, n_last=_LAST, alpha_first=2e-4),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a plan, images, a run that may be extended, the run that extends it, and an ordinary one."""
    folder = tmp_path_factory.mktemp("extended")
    plan, data = plane_and_images(folder)
    run = certified_run(plan, data, folder / "first", _SPEC, seed=_SEED)
    certified_run(plan, data, folder / "ordinary", replace(_SPEC, extension=None), seed=_SEED)
    _extend(run, folder / "whole")
    return folder


def _extend(run: Run, output: Path, progress: SilentProgress | None = None, **changes: Any) -> Run:
    backend = run.record.backend
    options = BackendOptions(name=backend.name, batch=backend.batch, threads=1, probe_rows=backend.probe_rows)
    plan, data = run.directory.parent / "plan", f"npz:{run.directory.parent / 'images.npz'}"
    asked = {"plan": read_plan(plan), "dataset": load_dataset(data), "spec": extended_spec(run), "backend": options}
    sources = {"plan": os.fspath(plan), "data": data, "data_dir": None}
    request = RunRequest(**asked | {"output": output, "invocation": sources, "extends": run} | changes)
    return execute(request, progress or SilentProgress())


def _bytes(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in ("run.json", "certificates.jsonl")}


def _certify(*arguments: str | Path) -> Ended:
    result = CliRunner().invoke(certify_command, [os.fspath(argument) for argument in arguments])
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    return Ended(code=result.exit_code, out=result.stdout, err=result.stderr)


def test_an_extended_run_has_the_bytes_of_one_that_drew_all_itself(folder: Path, tmp_path: Path) -> None:
    certified_run(folder / "plan", f"npz:{folder / 'images.npz'}", tmp_path / "direct", extended(_SPEC), seed=_SEED)
    assert _bytes(tmp_path / "direct") == _bytes(folder / "whole")
    # And drew only what was missing: the first draws are neither repeated nor replaced.
    assert [usage["rows"] for usage in read_usage(folder / "whole")] == [IMAGES * (_LAST - _FIRST)]
    first, whole = read_run(folder / "first"), read_run(folder / "whole")
    for before, after in zip(first.lines, whole.lines, strict=True):
        assert (before.index, before.counts[0]) == (after.index, after.counts[0])
        top = max(before.counts[0], key=lambda label, of=before: (of.counts[0][label], -int(label)))  # type: ignore[misc]  # a default
        looks = ((_FIRST, before.counts[1].get(top, 0)), (_LAST, after.counts[1].get(top, 0)))
        assert stops_of(after.outcome) == looks
        assert sum(after.counts[1].values()) == _LAST
        if isinstance(before.outcome, Certificate):  # what was certified at the first look stays so
            assert isinstance(after.outcome, Certificate)
            assert after.outcome.radius >= before.outcome.radius


@pytest.mark.parametrize("batch", [128, 32])
def test_an_extension_that_is_interrupted_ends_in_the_same_bytes_and_touches_nothing_else(
    folder: Path, tmp_path: Path, batch: int
) -> None:
    """At another batch, which is another engine, all but the run's digest is the same."""
    run = read_run(folder / "first")
    if batch != run.record.backend.batch:
        plan, data = read_plan(folder / "plan"), load_dataset(f"npz:{folder / 'images.npz'}")
        options = BackendOptions(name="onnxruntime", batch=batch, threads=1, probe_rows=128)
        sources: dict[str, object] = {"plan": "", "data": "", "data_dir": None}
        request = RunRequest(
            plan=plan,
            dataset=data,
            spec=_SPEC,
            backend=options,
            output=folder / "small",
            seed=_SEED,
            invocation=sources,
        )
        run = execute(request, SilentProgress())
    before = {path.name: path.read_bytes() for path in run.directory.iterdir()}
    for images in (1, 8):
        with pytest.raises(KeyboardInterrupt):
            _extend(run, tmp_path / "cut", Interrupted(images), resume=True)
    _extend(run, tmp_path / "cut", resume=True)
    if batch == run.record.backend.batch == 128:
        assert _bytes(tmp_path / "cut") == _bytes(folder / "whole")
    assert read_run(tmp_path / "cut").lines == read_run(folder / "whole").lines
    assert {path.name: path.read_bytes() for path in run.directory.iterdir()} == before


def test_only_what_was_planned_is_extended(folder: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / "run.json").write_bytes((folder / "first" / "run.json").read_bytes())
    lines = (folder / "first" / "certificates.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "certificates.jsonl").write_bytes(b"".join(lines[:-1]))
    new, first = tmp_path / "new", folder / "first"
    data = ("--plan", folder / "plan", "--data", f"npz:{folder / 'images.npz'}", "--sigma", "0.5")
    for arguments, words in (
        (("--extend", folder / "ordinary", "-o", new), "a bound that is looked at twice is another test"),
        (("--extend", folder / "whole", "-o", new), f"its draws were continued to {_LAST} already"),
        (("--extend", cut, "-o", new), f"found {IMAGES - 1} of {IMAGES} images; finish it with --resume"),
        (("--extend", first, "-o", new, "--extend-to", "901"), "was planned to be extended to 900"),
        (("--extend", first, "-o", first, "--force"), "expected a directory outside that of the run to extend"),
        (("--extend", first, "-o", first / "new" / "new"), "expected a directory outside that of the run to extend"),
        (("--extend", first, "-o", folder / "whole"), "continue it with --resume, or replace it with --force"),
        (("--extend", first, "-o", new, "--n", "900"), "--n does not belong to --extend"),
        (("--extend", first, "-o", new, "--seed", "1"), "--seed does not belong to --extend"),
        (("--extend", first, "-o", new, "--batch", "32"), "--batch does not belong to --extend"),
        (("--extend", first, "-o", new, "--data", f"npz:{folder / 'images.npz'}[:5]"), "begun with data.slice"),
        (("-o", new, *data, "--mode", "radii", "--extend-to", "900"), "--extend-to does not belong to --mode radii"),
        (("-o", new, *data, "--alpha-first", "1e-4"), "--alpha-first belongs to --extend-to"),
        (("-o", new, *data, "--n", "900", "--extend-to", "900"), "more draws to extend to than the first n"),
        (("-o", new, *data[2:]), "Missing option '--plan'"),
    ):
        ended = _certify(*arguments)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1), (arguments, ended.err)
        assert words in ended.err
    assert not new.exists()
    assert not (first / "new").exists()
    record = read_run(first).record
    grown = replace(record.data, earlier=(EarlierImages(slice="[0:2] of 24", images=2, fingerprint="f" * 64),))
    with pytest.raises(InputError, match="found one that was continued to more"):
        check_extended(replace(read_run(first), record=replace(record, data=grown)), new)
    with pytest.raises(InputError, match=r"begun with backend.batch = 128, asked to extend with 64"):
        _extend(read_run(first), new, backend=BackendOptions(name="onnxruntime", batch=64, threads=1, probe_rows=128))
    assert not new.exists()


def test_the_command_plans_extends_and_reports_both_looks(folder: Path, tmp_path: Path) -> None:
    data = f"npz:{folder / 'images.npz'}[:6]"
    first, new = tmp_path / "first", tmp_path / "new"
    small = ("--n0", "30", "--n", "100", "--batch", "64", "--probe-rows", "64", "--threads", "1")
    planned = ("--plan", folder / "plan", "--data", data, "--sigma", "0.5", *small, "--extend-to", "400")
    said = _certify(*planned, "-o", first).expect(0).out
    assert "the look at n = 100 has 0.0005 of alpha, the rest is kept for n = 400 (engine-certify --extend)" in said
    said = _certify("--extend", first, "-o", new, "--extend-to", "400", "--tsv").expect(0).out
    assert "its draws were continued, and the larger of both bounds counts" in said
    assert (new / "cohen.tsv").exists()
    for run in (first, new):
        said = verify(run, "--share", "1", "--strict").expect(0).out
        assert "alpha 0.001 an image, 0.0005 at n = 100, 0.0005 at n = 400" in said
        assert "that alpha was split before the first draw" in said
        ended = CliRunner().invoke(report_command, [os.fspath(run), "--ask-alpha", "1e-4"])
        assert ended.exit_code == 2
        assert "its alpha is split for draws that may be continued" in ended.stderr
    (spec,) = {read_run(run).record.spec.extension for run in (first, new)}
    assert spec == ExtensionSpec(n_first=100, n_last=400, alpha_first=5e-4)


def test_folders_of_some_of_the_plans_classes_stay_what_the_run_took_them_for(folder: Path, tmp_path: Path) -> None:
    """Folder 0 is label 0 both by rank and by name, but of one class by rank and of two by the plan."""
    (tmp_path / "images" / "0").mkdir(parents=True)
    PIL.Image.fromarray(np.full((2, 2), 9, np.uint8)).save(tmp_path / "images" / "0" / "a.png")
    small = ("--n0", "30", "--n", "100", "--batch", "64", "--probe-rows", "64", "--threads", "1")
    planned = ("--plan", folder / "plan", "--data", f"folder:{tmp_path / 'images'}", "--sigma", "0.5", *small)
    _certify(*planned, "-o", tmp_path / "first", "--extend-to", "400").expect(0)
    _certify("--extend", tmp_path / "first", "-o", tmp_path / "whole").expect(0)
    for run in ("first", "whole"):
        assert read_run(tmp_path / run).record.data.classes == 2
        verify(tmp_path / run, "--share", "1").expect(0)


def test_a_shared_alpha_is_split_likewise(folder: Path) -> None:
    run = read_run(folder / "whole")
    (shared,) = at_shared_alpha([run])
    assert [alpha for _, alpha in shared.record.spec.fixed_looks] == pytest.approx([2e-4 / IMAGES, 8e-4 / IMAGES])
    # Of an image whose first look shows more than its last one, the first counts here too.
    stops, phases = ((_FIRST, _FIRST), (_LAST, 650)), [np.array([30, 0, 0]), np.array([650, 250, 0])]
    outcome = conclude(run.record.spec, run.record.tv, phases, 0, stops)
    line = replace(run.lines[0], outcome=outcome, counts=({"0": 30}, {"0": 650, "1": 250}))
    (again,) = at_shared_alpha([replace(run, lines=(line,))])
    alone = replace(_SPEC, extension=None, alpha=2e-4 / IMAGES)
    assert again.lines[0].outcome == replace(
        conclude(alone, run.record.tv, [np.array([30, 0, 0]), np.array([_FIRST, 0, 0])], 0),  # type: ignore[type-var]  # a certificate
        stops=stops,
    )


def test_a_first_look_that_was_changed_is_found_by_its_replay(folder: Path, tmp_path: Path) -> None:
    """On the run's own engine, and on another one by the draws that lie before the look and after it."""
    run = Path(shutil.copytree(folder / "whole", tmp_path / "run"))
    stored = read_run(run)
    places = {
        line.index: place
        for place, line in enumerate(stored.lines)
        if isinstance(line.outcome, Certificate) and stops_of(line.outcome)[0][1] < _FIRST
    }
    place = next(iter(places.values()))
    line = stored.lines[place]
    assert isinstance(line.outcome, Certificate)
    top, k_first = line.outcome.predicted, stops_of(line.outcome)[0][1]
    last = stops_of(line.outcome)[1]
    other = ((_FIRST, k_first - 1), last)
    (changed,) = certificates(stored.record.spec, stored.record.tv, [top], [line.counts[1][str(top)]], [_LAST], [other])  # type: ignore[arg-type]  # lists
    assert isinstance(changed, Certificate)
    rows = lines_of(run)
    rows[place] |= {"stops": [list(look) for look in other], "p_lower": changed.p_lower, "radius": changed.radius}
    seal(run, rows)
    said = verify(run, "--share", "1").expect(4).out
    assert f"replayed, its looks are {((_FIRST, k_first), last)}, the line says {other}" in said
    record = json.loads((run / "run.json").read_text())
    record["backend"]["hardware"] = "x86_64 Another"
    reseal_all(run, json.dumps(record, indent=1).encode(), rows)
    assert json.loads(verify(run, "--share", "1", "--json").expect(6).out)["differing_labels"] == 2


def test_under_static_placement_both_looks_come_after_whole_batches(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "plan", tmp_path / "plan")
    plan = write_plan(tmp_path / "plan", replace(read_plan(tmp_path / "plan").record, logits=None))
    shutil.copy(folder / "images.npz", tmp_path)
    data = f"npz:{tmp_path / 'images.npz'}"
    first = certified_run(plan.directory, data, tmp_path / "first", _SPEC, seed=_SEED)
    whole = _extend(first, tmp_path / "whole")
    looks = [draws for draws, _ in whole.record.spec.fixed_looks]
    assert (whole.record.backend.placement, looks, whole.record.spec.step) == ("static", [256, 1024], 128)
    certified_run(plan.directory, data, tmp_path / "direct", whole.record.spec, seed=_SEED)
    assert _bytes(tmp_path / "direct") == _bytes(tmp_path / "whole")
    for run in ("first", "whole"):
        assert "verified" in verify(tmp_path / run, "--share", "1").expect(0).out
    near = ExtensionSpec(n_first=_FIRST, n_last=250, alpha_first=2e-4)
    with pytest.raises(InputError, match="got 200 and 250, both rounded up to 256"):
        certified_run(plan.directory, data, tmp_path / "near", replace(_SPEC, extension=near))


@pytest.mark.slow
@pytest.mark.nightly
def test_an_extension_that_is_killed_ends_in_the_same_bytes_and_verifies(demo_plan: Path, tmp_path: Path) -> None:
    small = ("--n", "100", "--batch", "64", "--probe-rows", "64", "--threads", "1", "--seed", "5")
    planned = ("--plan", demo_plan, "--data", "digits:test[:10]", "--sigma", "0.5", *small, "--extend-to", "600")
    engine("certify", *planned, "--out", tmp_path / "first").expect(0)
    extending = ["--extend", tmp_path / "first", "--out", tmp_path / "cut", "--resume"]
    ledger, chance = tmp_path / "cut" / "certificates.jsonl", random.Random(1)
    for _ in range(2):
        rows = chance.randint(0, 4) + (ledger.read_bytes().count(b"\n") if ledger.exists() else 0)
        process = subprocess.Popen(
            engine_arguments("certify", *extending), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and (ledger.read_bytes().count(b"\n") if ledger.exists() else 0) < rows:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
    engine("certify", *extending).expect(0)
    engine("certify", "--extend", tmp_path / "first", "--out", tmp_path / "whole").expect(0)
    assert _bytes(tmp_path / "cut") == _bytes(tmp_path / "whole")
    engine("verify", tmp_path / "cut", "--share", "0.2", "--strict", "--fresh-seed").expect(0)

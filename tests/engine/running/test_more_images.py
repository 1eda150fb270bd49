"""A finished run that is continued to more images: its lines keep their bytes, and only its own images continue it."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from purecert.engine.backends.base import BackendOptions
from purecert.engine.commands.certify import certify_command
from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from purecert.engine.procedures.spec import ExtensionSpec, SmoothingSpec
from purecert.engine.questions.question import Question, record_asked
from purecert.engine.records import ledger
from purecert.engine.records.run import Run, read_run
from purecert.engine.records.run_record import marks_of
from purecert.engine.reports.bonferroni import at_shared_alpha
from purecert.engine.reports.notes import notes
from purecert.engine.reports.summary import summarise
from purecert.engine.running.progress import SilentProgress
from purecert.engine.running.run import RunRequest, execute
from support.forgery import lines_of, reseal_all, seal
from support.interrupting import Interrupted
from support.verifying import IMAGES, plane_and_images, verify

_SPEC = SmoothingSpec(mode="certify", sigma=0.5, n_select=30, n_estimate=200)
_SEED = 77


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a plan, images, a run of 5 of them, that run continued to 12 and to all, and one of all."""
    folder = tmp_path_factory.mktemp("grown")
    plane_and_images(folder)
    _run(folder, folder / "five", "[:5]")
    shutil.copytree(folder / "five", folder / "grown")
    for images in ("[:12]", ""):
        _run(folder, folder / "grown", images)
    _run(folder, folder / "direct", "")
    return folder


def _run(folder: Path, output: Path, named: str, progress: SilentProgress | None = None, **changes: Any) -> Run:
    data = f"npz:{folder / 'images.npz'}{named}"
    request = RunRequest(
        plan=read_plan(folder / "plan"),
        dataset=load_dataset(data),
        spec=_SPEC,
        backend=BackendOptions(name="onnxruntime", batch=128, threads=1, probe_rows=128),
        output=output,
        seed=_SEED,
        resume=True,
        invocation={"plan": os.fspath(folder / "plan"), "data": data, "data_dir": None},
    )
    return execute(replace(request, **changes), progress or SilentProgress())


def _files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir() if path.name not in ("timings.jsonl", "usage.jsonl")}


def test_lines_keep_their_bytes_and_say_what_a_run_of_all_images_says(folder: Path) -> None:
    five, whole = read_run(folder / "five"), read_run(folder / "grown")
    kept = (folder / "five" / "certificates.jsonl").read_bytes()
    assert (folder / "grown" / "certificates.jsonl").read_bytes().startswith(kept)
    assert whole.lines == read_run(folder / "direct").lines
    assert (whole.record.data.images, whole.record.data.slice) == (IMAGES, f"[0:{IMAGES}] of {IMAGES}")
    assert [extent.images for extent in whole.record.data.earlier] == [5, 12]
    direct = read_run(folder / "direct").record
    assert replace(whole.record, data=replace(whole.record.data, earlier=())) == direct
    written = [json.loads(line)["run"] for line in (folder / "grown" / "certificates.jsonl").read_text().splitlines()]
    assert [written.count(digest) for digest in dict.fromkeys(written)] == [5, 7, IMAGES - 12]
    assert (written[0], written[-1]) == (five.digest, whole.digest)
    said = verify(folder / "grown", "--share", "1", "--strict").expect(0).out
    assert "mark: more images later: begun with 5 and then 12" in said


def test_whenever_it_is_interrupted_it_ends_in_the_same_bytes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder / "five", tmp_path / "run")
    written = ledger.write_atomically

    def cut(path: Path, content: bytes) -> None:
        written(path, content)
        raise KeyboardInterrupt

    for images in ("[:12]", ""):
        with monkeypatch.context() as patch:  # after the new record, before the place of the images
            patch.setattr(ledger, "write_atomically", cut)
            with pytest.raises(KeyboardInterrupt):
                _run(folder, tmp_path / "run", images)
        assert len(read_run(tmp_path / "run").lines) in (5, 12)
        with pytest.raises(KeyboardInterrupt):
            _run(folder, tmp_path / "run", images, Interrupted(8 if images else 15))
        _run(folder, tmp_path / "run", images)
    assert _files(tmp_path / "run") == _files(folder / "grown")
    _run(folder, tmp_path / "run", "")  # nothing is left to do
    assert _files(tmp_path / "run") == _files(folder / "grown")
    # Lines that are lost are drawn again, under the record that they were written under.
    lines = (folder / "grown" / "certificates.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "run" / "certificates.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:40])
    _run(folder, tmp_path / "run", "")
    assert _files(tmp_path / "run") == _files(folder / "grown")


def test_a_log_of_fewer_images_does_not_stay(folder: Path, tmp_path: Path) -> None:
    small = ("--n0", "30", "--n", "100", "--batch", "64", "--probe-rows", "64", "--threads", "1", "--sigma", "0.5")

    def certify(images: str, *options: str) -> None:
        data = f"npz:{folder / 'images.npz'}{images}"
        arguments = ["--plan", folder / "plan", "--data", data, *small, "-o", tmp_path / "run", *options]
        result = CliRunner().invoke(certify_command, [os.fspath(argument) for argument in arguments])
        assert result.exit_code == 0, result.output

    certify("[:3]", "--tsv")
    shutil.copytree(tmp_path / "run", tmp_path / "logged")
    certify("[:5]", "--resume")
    assert len((tmp_path / "run" / "cohen.tsv").read_text().splitlines()) == 1 + 5
    verify(tmp_path / "run", "--share", "0.2").expect(0)
    shutil.copy(tmp_path / "logged" / "cohen.tsv", tmp_path / "run")
    more: dict[str, Any] = {"spec": replace(_SPEC, n_estimate=100), "seed": None}
    options = BackendOptions(name="onnxruntime", batch=64, threads=1, probe_rows=64)
    with pytest.raises(KeyboardInterrupt):
        _run(folder, tmp_path / "run", "", Interrupted(6), backend=options, **more)
    assert not (tmp_path / "run" / "cohen.tsv").exists()


_NO_CONTINUATIONS: tuple[tuple[str, str, str, dict[str, Any], str], ...] = (
    ("five", "folder", "[:4]", {}, r"begun with data.slice = \[0:5\] of 24, asked to resume with \[0:4\]"),
    ("grown", "folder", "[:12]", {}, r"begun with data.slice = \[0:24\] of 24, .* \[0:12\]"),
    ("five", "folder", "[::2]", {}, r"begun with data.slice = \[0:5\] of 24, asked to resume with \[0:23:2\]"),
    ("five", "folder", "[1:]", {}, r"begun with data.slice = \[0:5\] of 24, asked to resume with \[1:24\]"),
    ("five", "other", "", {}, r"begun with data.slice = .*, asked to resume with"),
    ("five", "other", "[:5]", {}, r"begun with data.fingerprint = "),
    ("five", "folder", "", {"spec": replace(_SPEC, n_estimate=300)}, r"begun with spec.n_estimate = 200"),
    ("five", "folder", "", {"seed": 1}, r"the run has seed 77, got 1"),
)


def test_what_is_no_continuation_is_refused_and_named(folder: Path, tmp_path: Path) -> None:
    """Fewer or other images, a changed pixel, another n or seed, and images from memory."""
    other = tmp_path / "other"
    shutil.copytree(folder / "plan", other / "plan")
    arrays = dict(np.load(folder / "images.npz"))
    arrays["x"][2] ^= 1
    np.savez(other / "images.npz", **arrays)
    memory = {"images": (folder / "images.npz").read_bytes()}
    cases = (*_NO_CONTINUATIONS, ("five", "folder", "", memory, r"begun with data.slice = "))
    for number, (source, where, images, changes, words) in enumerate(cases):
        run = tmp_path / f"{number}"
        shutil.copytree(folder / source, run)
        before = _files(run)
        with pytest.raises(InputError, match=words):
            _run(folder if where == "folder" else other, run, images, **changes)
        assert _files(run) == before, words


def test_a_run_that_is_unfinished_or_that_another_version_wrote_is_not_continued(folder: Path, tmp_path: Path) -> None:
    for name in ("unfinished", "written otherwise"):
        shutil.copytree(folder / "five", tmp_path / name)
    ledger = tmp_path / "unfinished" / "certificates.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:4]))
    with pytest.raises(InputError, match=r"found 4 of 5; resume it with its own images first, \[0:5\] of 24"):
        _run(folder, tmp_path / "unfinished", "")
    _reformat(tmp_path / "written otherwise")
    with pytest.raises(InputError, match=r"a run.json as this version writes it"):
        _run(folder, tmp_path / "written otherwise", "")


def _reformat(run: Path) -> None:
    content = json.dumps(json.loads((run / "run.json").read_text())).encode()
    reseal_all(run, content, lines_of(run))


def test_no_line_of_another_run_or_of_another_place_is_read(folder: Path, tmp_path: Path) -> None:
    _run(folder, tmp_path / "strange", "[:5]", seed=78)
    _run(folder, tmp_path / "strange", "", seed=78)
    own, strange = (run.joinpath("certificates.jsonl").read_bytes().splitlines() for run in _both(folder, tmp_path))
    run = tmp_path / "run"
    shutil.copytree(folder / "grown", run)

    def refused(lines: list[bytes], record: dict[str, Any] | None = None) -> None:
        if record is not None:
            (run / "run.json").write_bytes((json.dumps(record, indent=1) + "\n").encode())
        (run / "certificates.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        with pytest.raises(InputError, match=r"its checksum, its run or its form does not match|to be ever more"):
            read_run(run)

    for place in (0, 4, 5, 11, 12, IMAGES - 1):
        refused([*own[:place], strange[place], *own[place + 1 :]])
    rows, digests = lines_of(folder / "grown"), list(dict.fromkeys(row["run"] for row in lines_of(folder / "grown")))
    for place, digest in ((4, digests[1]), (5, digests[0]), (11, digests[2]), (12, digests[1])):
        moved = [row | {"run": digest} if number == place else row for number, row in enumerate(rows)]
        seal(run, moved)
        refused((run / "certificates.jsonl").read_bytes().splitlines())
    record = json.loads((folder / "grown" / "run.json").read_text())
    first, second = record["data"]["earlier"]
    later = first | {"images": 6}
    for earlier in ([], [second], [later, second], [second, first], [first, first], [first, second, first]):
        refused(own, record | {"data": record["data"] | {"earlier": earlier}})
    for change in ({"seed": 78}, {"spec": record["spec"] | {"alpha": 0.002}}, {"plan": "a" * 64}):
        refused(own, record | change)


def _both(folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    return folder / "grown", tmp_path / "strange"


def test_images_that_a_run_never_had_are_found_by_verify(folder: Path, tmp_path: Path) -> None:
    """All digests are right again: of five images that are not the first of the data."""
    shutil.copytree(folder / "grown", tmp_path / "run")
    record = json.loads((folder / "grown" / "run.json").read_text())
    record["data"]["earlier"] = [record["data"]["earlier"][0] | {"fingerprint": "e" * 64}]
    content = (json.dumps(record, indent=1) + "\n").encode()
    rows, data = lines_of(folder / "grown"), record["data"]
    before = {"data": data | data["earlier"][0] | {"earlier": []}}
    digests = [sha256_hex((json.dumps(record | before, indent=1) + "\n").encode())] * 5 + [sha256_hex(content)] * 19
    (tmp_path / "run" / "run.json").write_bytes(content)
    seal(tmp_path / "run", [row | {"run": digest} for row, digest in zip(rows, digests, strict=True)])
    read_run(tmp_path / "run")
    assert "the data's first ones are others" in verify(tmp_path / "run", "--share", "0").expect(4).out


def test_what_needs_a_number_of_images_fixed_in_advance_is_refused(folder: Path) -> None:
    run = read_run(folder / "grown")
    assert marks_of(run.record, IMAGES)[0].startswith("more images later: begun with 5 and then 12")
    assert 'named "at least", supposes a number fixed in advance' in marks_of(run.record, IMAGES)[0]
    with pytest.raises(InputError, match="whose number of images was fixed in advance"):
        at_shared_alpha([run])
    with pytest.raises(InputError, match="would choose other draws; leave --ask-n out"):
        record_asked(run, Question(kind="certificates", n=100))
    assert record_asked(run, Question(kind="certificates", alpha=1e-4)).spec.alpha == 1e-4


def test_a_report_offers_no_extension_that_is_refused(folder: Path) -> None:
    run = read_run(folder / "grown")
    spec = replace(_SPEC, extension=ExtensionSpec(n_first=200, n_last=900, alpha_first=5e-4))
    for earlier, words in ((run.record.data.earlier, "cannot be extended any more"), ((), "(engine-certify --extend)")):
        data = replace(run.record.data, earlier=earlier)
        said = "\n".join(notes(summarise(replace(run, record=replace(run.record, spec=spec, data=data)))))
        assert [line for line in said.splitlines() if "the look at n = 200" in line and line.endswith(words)], said

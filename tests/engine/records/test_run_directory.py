"""What a run directory may hold, what may be overwritten, and what is no run at all."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from purecert.engine.errors import InputError
from purecert.engine.files.strict_json import read_dataclass
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.ledger import opened_run
from purecert.engine.records.run import read_run
from purecert.engine.records.run_directory import check_output, clear_run
from purecert.engine.records.run_record import RunRecord
from support.records import RUN, proven_rows, write_run

# --- what may be overwritten


def _snapshot(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def test_a_free_directory_is_free(tmp_path: Path) -> None:
    for resume, force in [(False, False), (True, False), (False, True)]:
        check_output(tmp_path / "absent", resume=resume, force=force)
        check_output(tmp_path, resume=resume, force=force)
    with opened_run(tmp_path, resume=True) as ledger:
        assert ledger.seed is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_replaced_only_with_force_and_continued_only_with_resume(tmp_path: Path) -> None:
    write_run(tmp_path, proven_rows(2))
    before = _snapshot(tmp_path)
    with pytest.raises(InputError, match=r"a run is there; continue it with --resume, or replace it with --force"):
        check_output(tmp_path, resume=False, force=False)
    check_output(tmp_path, resume=True, force=False)
    check_output(tmp_path, resume=False, force=True)
    assert _snapshot(tmp_path) == before


def test_resume_and_force_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected --resume or --force, got both"):
        check_output(tmp_path, resume=True, force=True)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="expected a run directory, found a file"):
        check_output(tmp_path / "run", resume=False, force=True)


@pytest.mark.parametrize("name", ["thesis.tex", "thesis.tex.partial", ".git", "run.json~", "certificates.jsonl"])
@pytest.mark.parametrize("force", [False, True])
def test_a_directory_that_is_no_run_is_refused_with_and_without_force(tmp_path: Path, name: str, force: bool) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"expected a run directory and nothing else, found {name!r} in it and no run"):
        check_output(tmp_path, resume=False, force=force)


def test_a_published_log_of_the_name_that_we_use_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "cohen.tsv").write_text("idx\tlabel\n")
    (tmp_path / "lock").write_text("")
    with pytest.raises(InputError, match=r"found 'cohen.tsv' in it and no run.json"):
        check_output(tmp_path, resume=False, force=True)


@pytest.mark.parametrize("name", ["notes.txt", "film.partial", "deeper"])
def test_force_refuses_a_run_with_a_foreign_file_and_resume_does_not_mind(tmp_path: Path, name: str) -> None:
    write_run(tmp_path, proven_rows(1))
    (tmp_path / name).mkdir() if name == "deeper" else (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match=f"nothing else, found '{name}' in it; choose"):
        check_output(tmp_path, resume=False, force=True)
    check_output(tmp_path, resume=True, force=False)


def test_clearing_deletes_the_run_and_what_came_in_the_meantime_stays(tmp_path: Path) -> None:
    write_run(tmp_path, proven_rows(2))
    (tmp_path / "cohen.tsv").write_text("idx\n")
    (tmp_path / "run.json.partial").write_text("{")
    with opened_run(tmp_path, force=True) as ledger:
        (tmp_path / "notes.txt").write_text("written while the backend opened")
        ledger.begin(replace(RUN, seed=1), {})
    left = ["certificates.jsonl", "invocation.json", "lock", "notes.txt", "run.json", "timings.jsonl"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    assert (read_run(tmp_path).record.seed, read_run(tmp_path).lines) == (1, ())


def test_a_symbolic_link_to_a_run_directory_is_cleared_like_one(tmp_path: Path) -> None:
    write_run(tmp_path / "disk", proven_rows(2))
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    clear_run(tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["lock"]


@pytest.mark.parametrize("name", ["cohen.tsv", "certificates.jsonl", "images.npz.partial"])
def test_a_folder_in_place_of_a_file_is_refused_before_anything_is_deleted(tmp_path: Path, name: str) -> None:
    write_run(tmp_path, proven_rows(2))
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir()
    before = _snapshot(tmp_path)
    for resume in (False, True):
        with pytest.raises(InputError, match=f"{name}: expected a file of a run, found something else; move it away"):
            check_output(tmp_path, resume=resume, force=not resume)
    with pytest.raises(InputError, match=name):  # also where it came after the directory was looked at
        clear_run(tmp_path)
    assert _snapshot(tmp_path) == before
    if name == "certificates.jsonl":
        with pytest.raises(InputError, match="expected a file of certificates, found none"):
            read_run(tmp_path)


@pytest.mark.parametrize("left", ["lock", "invocation.json", "invocation.json.partial", "run.json.partial"])
def test_a_run_cut_before_its_run_json_can_be_begun_again(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_text("")
    check_output(tmp_path, resume=True, force=False)
    check_output(tmp_path, resume=False, force=True)
    clear_run(tmp_path)
    write_run(tmp_path, proven_rows(2))
    assert len(read_run(tmp_path).lines) == 2


def test_a_clearing_cut_anywhere_leaves_what_can_be_cleared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink, left = Path.unlink, [0]

    def failing(path: Path, missing_ok: bool = False) -> None:
        if left[0] == 0:
            raise OSError("power cut")
        left[0] -= 1
        unlink(path, missing_ok)

    for allowed in range(10):
        write_run(tmp_path, proven_rows(2))
        monkeypatch.setattr(Path, "unlink", failing)
        left[0] = allowed
        with pytest.raises(OSError, match="power cut"):
            clear_run(tmp_path)
        monkeypatch.setattr(Path, "unlink", unlink)
        check_output(tmp_path, resume=False, force=True)
        clear_run(tmp_path)


# --- garbage


_GARBAGE = {
    "empty": b"",
    "not JSON": b"run",
    "not text": b"\xff\xfe\x00",
    "cut short": b'{"schema": "purecert.run/3", ',
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "no schema": b"{}",
    "schema of the wrong type": b'{"schema": ["purecert.run/3"]}',
    "a huge schema": b'{"schema": "' + b"x" * 1_000_000 + b'"}',
    "an integer of too many digits": b'{"schema": ' + b"9" * 10_000 + b"}",
    "deeply nested": b"[" * 1_000_000,
    "deeply nested and closed": b"[" * 100_000 + b"]" * 100_000,
    "only its schema": b'{"schema": "purecert.run/7"}',
    "only a schema without a slice": b'{"schema": "purecert.run/4"}',
    "only an older schema": b'{"schema": "purecert.run/3"}',
    "an older schema of nonsense": b'{"schema": "purecert.run/3", "backend": 3, "mode": {}, "stop": []}',
}


def _write_nothing(run: Path) -> None:
    write_run(run, [])


@pytest.mark.parametrize("content", list(_GARBAGE.values()), ids=list(_GARBAGE))
def test_a_run_json_that_is_none_is_refused_in_a_short_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    for use in (read_run, _write_nothing):
        with pytest.raises(InputError, match=r"run.json: .*(expected|missing)") as refusal:
            use(tmp_path)
        assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize("field", ["schema", "spec", "t", "noise_elements"])
def test_nesting_of_any_depth_is_refused_and_never_a_traceback(tmp_path: Path, field: str) -> None:
    """Just below the depth that cannot be parsed lies a depth that can, and cannot be printed."""
    text = json.dumps(asdict(RUN) | {field: "HERE"})
    for depth in range(sys.getrecursionlimit() - 120, sys.getrecursionlimit() + 5):
        (tmp_path / "run.json").write_text(text.replace('"HERE"', "[" * depth + "]" * depth))
        with pytest.raises(InputError, match="expected"):
            read_run(tmp_path)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400, '"0.5"', "true", "null"])
def test_a_number_that_is_none_is_refused_and_named(tmp_path: Path, value: str) -> None:
    (tmp_path / "run.json").write_text(json.dumps(asdict(RUN)).replace('"sigma": 0.5', f'"sigma": {value}'))
    with pytest.raises(InputError, match=r"run.json: spec: sigma: expected a finite number, found"):
        read_run(tmp_path)


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match=r"expected a run directory with run.json, found none; is the path right"):
            read_run(path)


@pytest.mark.parametrize("line", [b"", b"\r", b"null", b"[" * 100_000, b"{}", b"\x00" * 200, b"\xff" * 200])
def test_a_line_that_is_none_is_refused_with_its_number(tmp_path: Path, line: bytes) -> None:
    path = write_run(tmp_path, proven_rows(1))
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(InputError, match=r"certificates.jsonl:2: expected a certificate line") as refusal:
        read_run(tmp_path)
    assert len(str(refusal.value)) < 1000


# --- run.json


def test_a_run_of_another_schema_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, [])
    (tmp_path / "run.json").write_text(json.dumps(asdict(RUN) | {"schema": "purecert.run/99"}))
    with pytest.raises(InputError, match=r"expected schema purecert.run/7, found 'purecert.run/99'; use the version"):
        read_run(tmp_path)


def test_a_record_is_read_back_from_json_as_it_was() -> None:
    assert read_dataclass(RunRecord, json.loads(json.dumps(asdict(RUN))), "run.json") == RUN
    assert RUN.spec == SmoothingSpec(mode="certify", sigma=0.5, n_select=100, n_estimate=1000, alpha=1e-3)


@pytest.mark.parametrize("change", [{"alpha": 0.7}, {"n_estimate": 0}, {"sigma": -1.0}])
def test_a_record_of_an_impossible_run_is_refused(tmp_path: Path, change: dict[str, float]) -> None:
    record = asdict(RUN)
    (tmp_path / "run.json").write_text(json.dumps(record | {"spec": record["spec"] | change}))
    with pytest.raises(InputError, match=r"run.json: spec: expected"):
        read_run(tmp_path)


def test_a_record_that_could_not_be_read_back_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not JSON compliant"):
        write_run(tmp_path, [], replace(RUN, t=float("nan")))
    assert not (tmp_path / "run.json").exists()

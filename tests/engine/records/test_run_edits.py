"""A run that was changed by somebody who mended its checksums is refused, or says what was changed, or cannot know."""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import purecert
from purecert.engine.commands.report import report_command
from purecert.engine.errors import InputError
from purecert.engine.records.ledger import opened_run
from support.edit_forms import Edit, Named, Refused
from support.forgery import lines_of, reseal_all
from support.run_edits import BYTE_EDITS, EDITS
from support.simulated_runs import SPECS, record_of, write_simulated_run

_MODES = tuple(SPECS)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write_simulated_run(tmp_path_factory.mktemp("honest") / name, name) for name in SPECS}


def _cases() -> Iterator[Any]:
    for number, edit in enumerate(EDITS):
        for mode in edit.of or (_MODES[number % len(_MODES)],):
            if edit.of or mode != "votes" or "spec.stop" not in edit.name:
                yield pytest.param(edit, mode, id=f"{mode}: {edit.name!a}")


def _edited(honest: Path, edit: Edit, directory: Path) -> Path:
    shutil.copytree(honest, directory)
    record, lines = json.loads((honest / "run.json").read_text()), copy.deepcopy(lines_of(honest))
    edit.mutate(record, lines)
    reseal_all(directory, (json.dumps(record, indent=1) + "\n").encode(), lines)
    return directory


def _reported(run: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Return exit code, output and errors of ``engine-report RUN --bonferroni``."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        report_command.main([str(run), "--bonferroni"])
    said = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, said.out, said.err


@pytest.mark.parametrize(("edit", "mode"), list(_cases()))
def test_an_edited_run_is_refused_or_says_so(
    edit: Edit, mode: str, honest: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _reported(_edited(honest[mode], edit, tmp_path / mode), capsys)
    if isinstance(edit.seen, Refused):
        assert (code, out) == (2, ""), out
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert len(err) < 1500
        return
    assert (code, err) == (0, "")
    if isinstance(edit.seen, Named):
        assert edit.seen.words in out
        assert edit.seen.words not in _reported(honest[mode], capsys)[1]


@pytest.mark.parametrize("name", [name for name, _ in BYTE_EDITS])
def test_a_record_that_readers_take_differently_is_refused(name: str, honest: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(honest["radii"], tmp_path / "run")
    content = (honest["radii"] / "run.json").read_bytes()
    edited = dict(BYTE_EDITS)[name](content)
    assert edited != content
    reseal_all(tmp_path / "run", edited, lines_of(honest["radii"]))
    with pytest.raises(InputError, match=r"run\.json: expected JSON, found"):
        purecert.read_run(tmp_path / "run")


def test_the_table_has_a_hundred_edits_of_every_mode() -> None:
    assert len(EDITS) >= 100
    modes = [mode for edit in EDITS for mode in edit.of or _MODES]
    assert all(modes.count(mode) >= 50 for mode in _MODES)


def test_every_reader_of_a_run_refuses_a_resealed_line(honest: dict[str, Path], tmp_path: Path) -> None:
    edit = next(edit for edit in EDITS if edit.name == "radius 50 from one vote")
    run = _edited(honest["fixed"], edit, tmp_path / "run")
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    with pytest.raises(InputError, match="image 0: expected"):
        purecert.read_run(run)
    with pytest.raises(InputError, match="image 0: expected"), opened_run(run, resume=True):
        pass
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


@pytest.mark.parametrize(("mode", "name", "larger"), [("radii", "p_lower", 1 + 2e-12), ("answer", "p_value", 1 - 1e-9)])
def test_of_claims_that_differ_in_the_last_digits_the_smaller_is_taken(
    mode: str, name: str, larger: float, honest: dict[str, Path], tmp_path: Path
) -> None:
    """As another version of SciPy may write them: no run is refused for that, and none claims more for it."""
    edit = Edit(name="", mutate=lambda _, lines: lines[1].update({name: lines[1][name] * larger}), seen=Refused())
    run = _edited(honest[mode], edit, tmp_path / "run")
    assert purecert.read_run(run).outcomes == purecert.read_run(honest[mode]).outcomes


@pytest.mark.parametrize("mode", SPECS)
def test_an_honest_run_is_read_as_it_was_written(mode: str, honest: dict[str, Path]) -> None:
    run = purecert.read_run(honest[mode])
    assert run.spec == record_of(mode).spec
    assert len(run.outcomes) == 6
    assert {type(outcome) for outcome in run.outcomes} > {purecert.Abstention}

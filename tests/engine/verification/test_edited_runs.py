"""Every edit of the table through ``engine-verify``, on runs of a real plan: found, or named as the run's own word."""

import copy
import json
import shutil
from pathlib import Path

import pytest

from support.edit_forms import Edit
from support.forgery import lines_of, reseal_all
from support.run_edits import EDITS
from support.simulated_runs import SPECS
from support.verifying import certified_run, verify

pytestmark = pytest.mark.slow

_DATA = "digits:test[:6]"
_FOUND, _ELSEWHERE = (2, 4), 6
_MODES = tuple(SPECS)  # which share the edits that can be made to several


@pytest.fixture
def honest(mode: str, demo_plan: Path, tmp_path: Path) -> Path:
    """Return a verified run in the mode of the test."""
    certified_run(demo_plan, _DATA, tmp_path / "honest", SPECS[mode], seed=5)
    assert verify(tmp_path / "honest", "--share", "1").code == 0
    return tmp_path / "honest"


def _edited(honest: Path, edit: Edit, directory: Path) -> bool:
    """Write the edited run; return whether the edit changed anything in this run, and could be made at all."""
    record, lines = json.loads((honest / "run.json").read_text()), copy.deepcopy(lines_of(honest))
    before = copy.deepcopy((record, lines))
    try:
        edit.mutate(record, lines)
    except (KeyError, IndexError, TypeError):  # made for the votes of simulated runs
        return False
    shutil.copytree(honest, directory)
    reseal_all(directory, (json.dumps(record, indent=1) + "\n").encode(), lines)
    return (record, lines) != before


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=[] if mode in ("fixed", "radii") else [pytest.mark.nightly]) for mode in SPECS]
)
def test_no_edited_run_is_verified_in_silence(mode: str, honest: Path, tmp_path: Path) -> None:
    said_of_honest = verify(honest, "--share", "1").out
    tried, silent = 0, []
    for number, edit in enumerate(EDITS):
        of, run = edit.of or _MODES, tmp_path / str(number)
        if of[number % len(of)] != mode or not _edited(honest, edit, run):
            continue
        tried += 1
        ended = verify(run, "--share", "1")
        names_it = ended.code == 0 and set(ended.out.splitlines()) - set(said_of_honest.splitlines())
        if ended.code not in (*_FOUND, _ELSEWHERE) and not names_it:
            silent.append(edit.name)
    assert silent == []
    assert tried >= 20

"""A run directory is a prefix of the whole run at every moment, and says so when it is anything else."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from purecert.engine.errors import InputError
from purecert.engine.records.ledger import read_usage
from purecert.engine.records.run import read_run
from support.records import RUN, begun, proven, proven_rows, replace_run, with_spec, write_run

_HERE: dict[str, object] = {"plan": "/plan", "data": "digits:test", "data_dir": None}


def _python(program: str, *arguments: str | Path) -> str:
    """Return what ``program`` prints in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.fspath(Path(__file__).parents[2])}
    command = [sys.executable, "-c", f"import sys\n{program}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_run_reads_back_as_it_was_written(tmp_path: Path) -> None:
    rows = proven_rows(7)
    write_run(tmp_path / "some" / "run", rows)
    run = read_run(tmp_path / "some" / "run")
    assert (run.record, run.lines) == (RUN, tuple(rows))


def test_run_json_is_whole_before_any_row_is_there(tmp_path: Path) -> None:
    with begun(tmp_path, RUN, _HERE):
        assert read_run(tmp_path).record == RUN
        assert (tmp_path / "certificates.jsonl").read_bytes() == b""
        assert json.loads((tmp_path / "invocation.json").read_text()) == _HERE


def test_run_json_is_read_where_a_run_is_taken_up_and_once_more_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written is not read back before that; the last look finds files that were replaced meanwhile."""
    rows, read, real = proven_rows(4), list[str](), Path.read_bytes

    def note(path: Path) -> bytes:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", note)
    for part, before_the_end in ((rows[:2], 0), (rows[2:], 1)):
        with begun(tmp_path, RUN) as ledger:
            for row in part:
                ledger.append(row, 1.0)
            assert read.count("run.json") == before_the_end
            ledger.finished()
            assert read.count("run.json") == before_the_end + 1
        read.clear()


def test_an_appended_row_is_on_disk_when_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[int, int]] = []

    def spy(handle: int, fsync: object = os.fsync) -> None:
        fsync(handle)  # type: ignore[operator]  # the real one
        synced.append((os.fstat(handle).st_ino, os.fstat(handle).st_size))

    with begun(tmp_path, RUN, _HERE) as ledger:
        monkeypatch.setattr(os, "fsync", spy)
        for count, row in enumerate(proven_rows(4), 1):
            ledger.append(row, seconds=1.0)
            file = (tmp_path / "certificates.jsonl").stat()
            assert synced[-1] == (file.st_ino, file.st_size)
            assert len(read_run(tmp_path).lines) == count


def test_seconds_stay_out_of_the_certificates(tmp_path: Path) -> None:
    for name, seconds in (("fast", 0.001), ("slow", 1000.0)):
        with begun(tmp_path / name, RUN, {"name": name}) as ledger:
            ledger.append(proven(0), seconds)
    assert _result(tmp_path / "fast") == _result(tmp_path / "slow")
    assert json.loads((tmp_path / "slow" / "timings.jsonl").read_text()) == {"index": 0, "seconds": 1000.0}


def _result(run: Path) -> tuple[bytes, bytes]:
    return (run / "run.json").read_bytes(), (run / "certificates.jsonl").read_bytes()


@pytest.mark.parametrize("rows", [4, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.nightly])])
def test_a_run_cut_after_any_byte_is_continued_to_the_same_bytes(tmp_path: Path, rows: int) -> None:
    cuts = _python(f"from support.sweeps import *; print(cut_after_every_byte(Path(sys.argv[1]), {rows}))", tmp_path)
    assert int(cuts) == (tmp_path / "certificates.jsonl").stat().st_size + 1


def test_torn_timings_are_dropped_and_never_stop_a_resume(tmp_path: Path) -> None:
    write_run(tmp_path, proven_rows(2))
    timings = tmp_path / "timings.jsonl"
    timings.write_bytes(timings.read_bytes() + b'{"index":14,"sec')
    write_run(tmp_path, proven_rows(3)[2:])
    assert [json.loads(line)["index"] for line in timings.read_text().splitlines()] == [0, 7, 14]


@pytest.mark.parametrize(("name", "rows"), [("certificates.jsonl", 2), ("run.json", 1)])
def test_every_changed_bit_is_found(tmp_path: Path, name: str, rows: int) -> None:
    write_run(tmp_path, proven_rows(rows))
    before = (tmp_path / name).read_bytes()
    changes = _python(
        "from support.sweeps import *; print(change_every_bit(Path(sys.argv[1]), sys.argv[2]))", tmp_path, name
    )
    assert int(changes) == 8 * len(before)
    assert (tmp_path / name).read_bytes() == before


def test_a_changed_line_stops_a_resume_and_nothing_is_touched(tmp_path: Path) -> None:
    path = write_run(tmp_path, proven_rows(3))
    damaged = path.read_bytes().replace(b'"index":7', b'"index":8') + b'{"index":'
    path.write_bytes(damaged)
    with pytest.raises(InputError, match=r"certificates.jsonl:2: line of image 8: .* it was changed"):
        write_run(tmp_path, proven_rows(4)[3:])
    assert path.read_bytes() == damaged


def test_lines_in_another_runs_ledger_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "one", proven_rows(2))
    write_run(tmp_path / "two", [], with_spec(RUN, alpha=0.01))
    (tmp_path / "two" / "certificates.jsonl").write_bytes((tmp_path / "one" / "certificates.jsonl").read_bytes())
    with pytest.raises(InputError, match="its run"):
        read_run(tmp_path / "two")


def test_rows_follow_run_json_as_it_lies_there(tmp_path: Path) -> None:
    """The digest in a line is of the file's bytes, also where an editor or another version spaced them otherwise."""
    write_run(tmp_path, [])
    (tmp_path / "run.json").write_text(json.dumps(asdict(RUN)))
    write_run(tmp_path, proven_rows(2))
    assert len(read_run(tmp_path).lines) == 2


def test_rows_without_their_run_json_are_not_added_to(tmp_path: Path) -> None:
    path = write_run(tmp_path, proven_rows(2))
    before = path.read_bytes()
    (tmp_path / "run.json").unlink()
    with pytest.raises(InputError, match=r"found 'certificates.jsonl' in it and no run.json"):
        write_run(tmp_path, proven_rows(1))
    assert path.read_bytes() == before
    assert not (tmp_path / "run.json").exists()


def _replace_record(run: Path) -> None:
    (run / "run.json").write_text(json.dumps(asdict(RUN) | {"seed": 6}))


def _replace_lines(run: Path) -> None:
    (run / "certificates.jsonl").rename(run / "old")
    (run / "certificates.jsonl").write_bytes((run / "old").read_bytes().splitlines(keepends=True)[0])


@pytest.mark.parametrize(
    "change",
    [
        _replace_record,
        _replace_lines,
        lambda run: (run / "run.json").unlink(),
        lambda run: (run / "certificates.jsonl").unlink(),
        lambda run: write_run(run / "other", proven_rows(1)) and (run / "other" / "run.json").rename(run / "run.json"),
    ],
    ids=["record", "lines", "no record", "no lines", "same record, once more"],
)
def test_files_that_were_replaced_during_a_run_are_an_error_at_its_end(
    tmp_path: Path, change: Callable[[Path], object], request: pytest.FixtureRequest
) -> None:
    with begun(tmp_path, RUN) as ledger:
        for row in proven_rows(2):
            ledger.append(row, 1.0)
        assert ledger.finished().lines == tuple(proven_rows(2))
        change(tmp_path)
        if "once more" in request.node.name:  # byte for byte what was there
            assert ledger.finished().lines == tuple(proven_rows(2))
            return
        with pytest.raises(InputError, match=r"replaced while it went on|found none|it was changed"):
            ledger.finished()


@pytest.mark.parametrize("line", ["{}", '{"rows":1,"rows":2,"padding":0,"in_vain":0}', "[]", "1", "[" * 100_000])
def test_a_line_of_usage_that_is_none_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "usage.jsonl").write_text(line + "\n")
    with pytest.raises(InputError, match=r"usage.jsonl: expected a line of counts a session"):
        read_usage(tmp_path)


# --- one writer at a time


def test_a_second_writer_is_refused_while_the_first_goes_on(tmp_path: Path) -> None:
    with begun(tmp_path, RUN) as ledger:
        ledger.append(proven(0), 1.0)
        with pytest.raises(InputError, match="another process is writing"):
            write_run(tmp_path, [proven(1)])
        with pytest.raises(InputError, match="another process is writing"):
            replace_run(tmp_path)
        ledger.append(proven(1), 1.0)
    assert [row.index for row in read_run(tmp_path).lines] == [0, 1]
    write_run(tmp_path, [proven(2)])


_SECOND_WRITER = """
from pathlib import Path
from purecert.engine.errors import InputError
from support.records import proven, write_run
try:
    write_run(Path(sys.argv[1]), [proven(9)])
except InputError as error:
    print(error)
"""


def test_a_writer_in_another_process_is_refused_until_the_first_ends(tmp_path: Path) -> None:
    with begun(tmp_path, RUN):
        assert "another process is writing to this run; wait" in _python(_SECOND_WRITER, tmp_path)
    assert _python(_SECOND_WRITER, tmp_path) == ""
    assert [row.index for row in read_run(tmp_path).lines] == [9]


def test_a_run_being_written_can_be_read(tmp_path: Path) -> None:
    with begun(tmp_path, RUN) as ledger:
        ledger.append(proven(0), 1.0)
        assert read_run(tmp_path).lines == (proven(0),)


# --- a full disk

_FULL_DISK = """
import json, resource
from pathlib import Path
from support.records import RUN, begun, proven_rows

directory, rows = Path(sys.argv[1]), proven_rows(4)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
ends = {}
for limit in range(0, int(sys.argv[2]), 41):
    run, ended = directory / str(limit), "done"
    try:
        with begun(run, RUN) as ledger:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            for row in rows:
                ledger.append(row, 1.0)
    except OSError as error:
        ended = type(error).__name__
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    ends[limit] = ended
print(json.dumps(ends))
"""


def test_a_failing_write_ends_the_run_and_leaves_a_prefix_that_resume_completes(tmp_path: Path) -> None:
    rows = proven_rows(4)
    whole = write_run(tmp_path / "whole", rows).read_bytes()
    ends = json.loads(_python(_FULL_DISK, tmp_path, str(len(whole) + 41)))
    assert len(ends) > 10
    for limit, ended in ends.items():
        run = tmp_path / limit
        assert ended == ("OSError" if int(limit) < len(whole) else "done")
        written = (run / "certificates.jsonl").read_bytes()
        assert written == whole[: int(limit)]
        complete = written.count(b"\n")
        assert read_run(run).lines == tuple(rows[:complete])
        write_run(run, rows[complete:])
        assert (run / "certificates.jsonl").read_bytes() == whole


def test_a_run_directory_is_made_of_ordinary_files(tmp_path: Path) -> None:
    write_run(tmp_path, proven_rows(1))
    assert all(stat.S_ISREG(path.lstat().st_mode) for path in tmp_path.iterdir())
    assert {path.name for path in tmp_path.iterdir()} == {
        "run.json",
        "certificates.jsonl",
        "timings.jsonl",
        "invocation.json",
        "lock",
    }


def test_both_ends_of_an_image_are_among_the_test_rows() -> None:
    """What the tests above claim of rows, they claim of both; tests/engine/records/test_lines.py has every form."""
    assert {type(row.outcome).__name__ for row in proven_rows(20)} == {"Certificate", "Abstention"}

"""A ledger cut after every byte and changed in every bit.

The tests call these in a process of their own: what checks every call's types takes five times as long as they do.
"""

import os
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.records.run import read_form, read_run
from support.records import begun, proven_rows, write_run


def cut_after_every_byte(run: Path, count: int) -> int:
    """Return how many cuts of a run of ``count`` rows were reopened and continued to the same bytes: all, or fail."""
    os.fsync = lambda fd: None  # how long the disk takes is not the claim
    rows = proven_rows(count)
    ledger = write_run(run, rows)
    whole, continued = ledger.read_bytes(), set()
    for length in range(len(whole) + 1):
        _cut(ledger, whole[:length])
        complete = whole[: whole.rfind(b"\n", 0, length) + 1]
        lines = complete.count(b"\n")
        assert read_form(run).lines == tuple(rows[:lines]), f"read when cut after {length} bytes"
        with begun(run) as opened:
            assert ledger.read_bytes() == complete, f"reopened when cut after {length} bytes"
            # By now nothing tells where the cut was, so each number of whole lines is continued once.
            if lines in continued:
                continue
            continued.add(lines)
            for row in rows[lines:]:
                opened.append(row, 0.25)
        assert ledger.read_bytes() == whole, f"continued when cut after {length} bytes"
    assert len(continued) == count + 1
    return len(whole) + 1


def _cut(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:  # opening it empty would have the disk flush it each time
        file.write(content)
        file.truncate()


def change_every_bit(run: Path, name: str) -> int:
    """Return how many one-bit changes of the run's file ``name`` were refused: all, or fail."""
    path = run / name
    content = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for bit in range(8 * len(content)):
            byte = content[bit // 8]
            os.pwrite(file.fileno(), bytes([byte ^ 1 << bit % 8]), bit // 8)
            assert _is_refused(run), f"bit {bit} of {name} can be changed unseen"
            os.pwrite(file.fileno(), bytes([byte]), bit // 8)
    return 8 * len(content)


def _is_refused(run: Path) -> bool:
    try:
        read_run(run)
    except InputError:
        return True
    return False

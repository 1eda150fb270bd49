"""One byte form for every record, and files that are old or new but never half."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purecert.engine.files.canonical import canonical_json, sha256_hex, write_atomically

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(st.dictionaries(st.text(), _values, max_size=4))
def test_canonical_json_is_one_ascii_line_that_reads_back(value: dict[str, object]) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert "\n" not in text
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


def test_canonical_json_has_no_spaces_and_keeps_the_order_of_keys() -> None:
    assert canonical_json({"b": [1, 2.0], "a": {"ü": None}}) == '{"b":[1,2.0],"a":{"\\u00fc":null}}'


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_canonical_json_takes_no_number_that_json_does_not_have(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": [value]})


def test_the_digest_is_the_published_one() -> None:
    """FIPS 180-2, appendix B.1."""
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    for content in (b"old and long", b"new", b""):
        write_atomically(path, content)
        assert path.read_bytes() == content
        assert list(tmp_path.iterdir()) == [path]


def test_who_opened_the_old_file_keeps_reading_the_old_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "record.json", b"old")
    with (tmp_path / "record.json").open("rb") as reader:
        write_atomically(tmp_path / "record.json", b"new")
        assert reader.read() == b"old"


def test_a_leftover_of_a_write_that_was_cut_does_not_disturb_the_next(tmp_path: Path) -> None:
    (tmp_path / "record.json.partial").write_bytes(b"much longer than what comes now")
    write_atomically(tmp_path / "record.json", b"new")
    assert (tmp_path / "record.json").read_bytes() == b"new"


_FULL_DISK = """
import resource, sys
from pathlib import Path
from purecert.engine.files.canonical import write_atomically
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_atomically(Path(sys.argv[1]), b"x" * 101)
except OSError as error:
    print(type(error).__name__)
"""


def test_a_failing_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", _FULL_DISK, os.fspath(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "OSError\n"
    assert path.read_bytes() == b"old"

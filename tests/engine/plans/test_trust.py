"""A file that is code is loaded only if this machine wrote these bytes, under this name, from this origin."""

import os
import pwd
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from purecert.engine.errors import InputError
from purecert.engine.plans.trust import read_trusted, tag_path, write_trusted

_CODE = bytes(range(64))


@pytest.fixture(autouse=True)
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a machine of its own; return where its key lies."""
    monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(tmp_path / "config"))
    return tmp_path / "config" / "purecert" / "machine.key"


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    path = tmp_path / "cache" / "sigma-0.5.pt2"
    write_trusted(path, _CODE, "origin")
    return path


def _refused(path: Path, origin: str = "origin") -> None:
    with pytest.raises(InputError, match=r"runs code from it, and it does not carry this machine's tag; "):
        read_trusted(path, origin)


def test_what_this_machine_wrote_is_read(cached: Path) -> None:
    assert read_trusted(cached, "origin") == _CODE


def test_every_changed_bit_is_refused(cached: Path) -> None:
    for path in (cached, tag_path(cached)):
        content = path.read_bytes()
        for bit in range(8 * len(content) - 8):  # the tag's newline is not part of it
            changed = bytearray(content)
            changed[bit // 8] ^= 1 << bit % 8
            _write(path, bytes(changed))
            assert not _is_trusted(cached), f"bit {bit} of {path.name} can be changed unseen"
        _write(path, content)
        assert _is_trusted(cached)


def _write(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def _is_trusted(path: Path) -> bool:
    try:
        read_trusted(path, "origin")
    except InputError:
        return False
    return True


@pytest.mark.parametrize("tag", [b"", b"\n", b"\xff" * 64, b"0" * 64, "é".encode() * 32, b"0" * 10**6, b"\x00"])
def test_any_other_tag_is_refused(cached: Path, tag: bytes) -> None:
    tag_path(cached).write_bytes(tag)
    _refused(cached)


def test_a_missing_tag_is_refused(cached: Path) -> None:
    tag_path(cached).unlink()
    _refused(cached)
    tag_path(cached).mkdir()
    _refused(cached)


def test_another_origin_is_refused(cached: Path) -> None:
    for origin in ("", "origin ", "Origin", "other"):
        _refused(cached, origin)


def test_two_trusted_files_cannot_take_each_others_place(cached: Path) -> None:
    other = cached.with_name("sigma-1.0.pt2")
    write_trusted(other, _CODE[::-1], "origin")
    for one, two in ((cached, other), (tag_path(cached), tag_path(other))):
        one.rename(one.with_name("waiting"))
        two.rename(one)
        one.with_name("waiting").rename(two)
    _refused(cached)
    _refused(other)


def test_a_trusted_file_under_another_name_is_refused(cached: Path) -> None:
    other = cached.with_name("sigma-1.0.pt2")
    cached.rename(other)
    tag_path(cached).rename(tag_path(other))
    _refused(other)


def test_a_trusted_file_in_another_plan_of_the_same_origin_is_read(cached: Path, tmp_path: Path) -> None:
    """A plan may be moved on the machine that made it."""
    cached.parent.rename(tmp_path / "moved")
    assert read_trusted(tmp_path / "moved" / cached.name, "origin") == _CODE


@pytest.mark.parametrize(
    ("one", "other"),
    [(("a\nb", "c"), ("a", "b\nc")), (('a","from":"b', "c"), ("a", 'b","from":"c')), (("ab", "c"), ("a", "bc"))],
)
def test_no_name_and_origin_read_as_another_pair(tmp_path: Path, one: tuple[str, str], other: tuple[str, str]) -> None:
    write_trusted(tmp_path / one[0], _CODE, one[1])
    (tmp_path / other[0]).write_bytes(_CODE)
    tag_path(tmp_path / other[0]).write_bytes(tag_path(tmp_path / one[0]).read_bytes())
    assert read_trusted(tmp_path / one[0], one[1]) == _CODE
    _refused(tmp_path / other[0], other[1])


def test_another_machine_refuses_and_the_first_still_reads(
    cached: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("XDG_CONFIG_HOME", os.fspath(tmp_path / "elsewhere"))
        _refused(cached)
    assert read_trusted(cached, "origin") == _CODE


def test_with_trust_anything_is_read_but_what_is_not_there(cached: Path, tmp_path: Path) -> None:
    cached.write_bytes(b"from a friend")
    tag_path(cached).unlink()
    assert read_trusted(cached, "any", trust=True) == b"from a friend"
    for trust in (False, True):
        with pytest.raises(InputError, match="no such cached file; make it on this machine"):
            read_trusted(tmp_path / "absent", "origin", trust=trust)


def test_a_file_rewritten_without_its_tag_is_refused_until_it_is_tagged_again(cached: Path) -> None:
    """What a crash between the two writes leaves."""
    cached.write_bytes(b"newer")
    _refused(cached)
    write_trusted(cached, b"newer", "origin")
    assert read_trusted(cached, "origin") == b"newer"


# --- the key


def test_the_key_is_for_its_owner_alone_whatever_the_umask(tmp_path: Path, key: Path) -> None:
    was = os.umask(0)
    try:
        write_trusted(tmp_path / "x", _CODE, "origin")
    finally:
        os.umask(was)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert len(key.read_bytes()) == 32
    assert list(key.parent.iterdir()) == [key]


def test_two_machines_have_two_keys(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_trusted(tmp_path / "x", _CODE, "origin")
    monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(tmp_path / "elsewhere"))
    write_trusted(tmp_path / "x", _CODE, "origin")
    assert (tmp_path / "elsewhere" / "purecert" / "machine.key").read_bytes() != key.read_bytes()


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_damaged_key_is_refused_and_never_used(cached: Path, key: Path, size: int) -> None:
    key.write_bytes(b"k" * size)
    for use in (lambda: read_trusted(cached, "origin"), lambda: write_trusted(cached, b"", "origin")):
        with pytest.raises(InputError, match=f"machine.key: expected 32 bytes, found {size}; delete it"):
            use()


def test_without_xdg_the_key_lies_in_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    monkeypatch.setenv("HOME", os.fspath(tmp_path / "home"))
    write_trusted(tmp_path / "x", _CODE, "origin")
    assert (tmp_path / "home" / ".config" / "purecert" / "machine.key").is_file()


def test_a_user_without_a_home_is_told_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_entry(user: int) -> None:
        raise KeyError(user)

    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    with pytest.raises(InputError, match=r"no place for this machine's key .* set XDG_CONFIG_HOME"):
        write_trusted(tmp_path / "x", _CODE, "origin")


def test_what_a_dead_process_of_the_same_id_left_does_not_stop_a_key(tmp_path: Path, key: Path) -> None:
    key.parent.mkdir(parents=True)
    (key.parent / f"machine.key.{os.getpid()}").write_bytes(b"")
    write_trusted(tmp_path / "x", _CODE, "origin")
    assert read_trusted(tmp_path / "x", "origin") == _CODE


def test_threads_that_race_for_the_first_key_end_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for race in range(10):
        config = tmp_path / str(race)
        monkeypatch.setenv("XDG_CONFIG_HOME", os.fspath(config))
        together = Barrier(8)

        def write(number: int, directory: Path = config, together: Barrier = together) -> Path:
            together.wait()
            write_trusted(directory / f"{number}.pt2", _CODE, "origin")
            return directory / f"{number}.pt2"

        config.mkdir()
        with ThreadPoolExecutor(8) as pool:
            paths = list(pool.map(write, range(8)))
        assert all(read_trusted(path, "origin") == _CODE for path in paths)
        assert [path.name for path in (config / "purecert").iterdir()] == ["machine.key"]


_RACER = """
import sys
from pathlib import Path
from purecert.engine.plans.trust import write_trusted
print("ready", flush=True)
sys.stdin.readline()
write_trusted(Path(sys.argv[1]), b"code", "origin")
"""


def test_processes_that_race_for_the_first_key_end_with_one(tmp_path: Path, key: Path) -> None:
    paths = [tmp_path / f"{number}.pt2" for number in range(3)]
    racers = [
        subprocess.Popen([sys.executable, "-c", _RACER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for path in paths
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    for racer in racers:
        racer.communicate()
        assert racer.returncode == 0
    assert all(read_trusted(path, "origin") == b"code" for path in paths)
    assert list(key.parent.iterdir()) == [key]

"""A command watched from outside: the names it looks up, its connections, and the files it writes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("outside_calls.cpp")
_FLAGS = ["-std=c++17", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", "-U_FORTIFY_SOURCE"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """An empty home, folders for what may be written, and the library that is preloaded."""

    library: Path
    folder: Path

    @property
    def home(self) -> Path:
        """Return where nothing may be written."""
        return self.folder / "home"

    def calls(self, command: Sequence[str], allowed: Sequence[Path], **settings: str) -> list[str]:
        """Run ``command`` to its end, which must be a good one; return what it did outside of ``allowed``.

        Allowed too are the folder for temporary files, purecert's own folder, and devices. ``settings`` are added to
        an environment that sets nothing for any library.
        """
        log = self.folder / "calls"
        log.write_text("")
        configuration, temporary = Path(os.environ["XDG_CONFIG_HOME"]), self.folder / "temporary"
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "CXX") if name in os.environ}
        kept |= {"HOME": os.fspath(self.home), "XDG_CONFIG_HOME": os.fspath(configuration)}
        kept |= {"TMPDIR": os.fspath(temporary), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        kept |= {"LD_PRELOAD": os.fspath(self.library), "OUTSIDE_CALLS": os.fspath(log)}
        done = subprocess.run(
            command, env=kept | settings, cwd=self.folder / "here", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        good = [*allowed, temporary, configuration / "purecert", Path("/dev")]
        return [line for line in log.read_text().splitlines() if not _is_within(line, good)]


def _is_within(line: str, allowed: Sequence[Path]) -> bool:
    kind, _, path = line.partition(" ")
    return kind == "write" and any(Path(path).is_relative_to(folder) for folder in allowed)


def watch(folder: Path) -> Watch:
    """Return a watch over ``folder``; skip the test where none can be built."""
    compiler = os.environ.get("CXX", "g++")
    if not sys.platform.startswith("linux") or shutil.which(compiler) is None:
        pytest.skip("a library is preloaded, which takes Linux and a C++ compiler")
    library = folder / "outside_calls.so"
    done = subprocess.run(
        [compiler, *_FLAGS, _SOURCE, "-o", library, "-ldl"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for name in ("home", "here", "temporary"):
        (folder / name).mkdir()
    return Watch(library=library, folder=folder)

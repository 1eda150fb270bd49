"""Where a run's plan and images lie: kept beside the run for later commands, never part of what fixes its result."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import write_atomically
from purecert.engine.files.strict_json import parse_json
from purecert.engine.records.run_directory import INVOCATION_FILE

# Data sets that are named by a path (engine/images/datasets.py); a slice after it stays after it.
_NAMED_BY_PATH = ("npz", "folder")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """The plan directory, the data specification, and the folder of a named data set's files."""

    plan: Path
    data: str
    data_dir: Path | None

    def absolute(self) -> dict[str, object]:
        """Return the sources as JSON values that hold from any working directory."""
        data_dir = None if self.data_dir is None else os.fspath(self.data_dir.resolve())
        name, _, rest = self.data.partition(":")
        data = f"{name}:{Path(rest).absolute()}" if name in _NAMED_BY_PATH else self.data
        return {"plan": os.fspath(self.plan.resolve()), "data": data, "data_dir": data_dir}

    def moved(self, plan: Path | None, data: str | None, data_dir: Path | None) -> "Sources":
        """Return the sources where each of these that is given lies elsewhere now."""
        return Sources(plan=plan or self.plan, data=data or self.data, data_dir=data_dir or self.data_dir)


def change_sources(directory: Path, sources: Sources) -> None:
    """Say that the plan and the data of the run in ``directory`` lie elsewhere now; nothing else is changed.

    Raises:
        InputError: The file that says so is absent or not one of a run.
    """
    read_sources(directory)
    path = directory / INVOCATION_FILE
    content = parse_json(path.read_bytes()) | sources.absolute()
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def read_sources(directory: Path) -> Sources:
    """Return where the plan and the data of the run in ``directory`` lay when it ran.

    Raises:
        InputError: The file that says so is absent or not ours.
    """
    path = directory / INVOCATION_FILE
    if path.exists() and not path.is_file():  # a pipe would wait for ever
        raise InputError(f"{path}: expected where plan and data lie, found no file; restore the file")
    try:
        value = parse_json(path.read_bytes())
        if "\0" in f"{value['plan']}{value['data']}{value['data_dir']}":
            raise ValueError("a path with a character that no path can hold")
        data_dir = None if value["data_dir"] is None else Path(value["data_dir"])
        return Sources(plan=Path(value["plan"]), data=os.fspath(value["data"]), data_dir=data_dir)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: expected where plan and data lie, found {error!r}; restore the file") from error

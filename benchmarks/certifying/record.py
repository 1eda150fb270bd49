"""The JSON of one measurement: command, hardware and versions, then its numbers; no folder and no host."""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from certifying.work import Work
from provenance import describe_commit

import purecert
from purecert.engine.files.canonical import write_atomically
from purecert.engine.images.datasets import load_dataset
from purecert.export.bench.benchmark import describe_machine

_FOLDERS = r"[^\s=:]*/"  # of the paths in an argument


def write_record(output: Path, work: Work, numbers: Mapping[str, object], accelerator: str | None) -> None:
    """Write the file ``output``; where paths would stand in the command, it names files only."""
    arguments = [re.sub(_FOLDERS, "", argument) for argument in sys.argv[1:]]
    data = load_dataset(work.data, work.data_dir)
    head = {
        "command": " ".join(["python benchmarks/certify.py", *arguments]),
        "commit": describe_commit(),
        "purecert": purecert.__version__,
        "machine": asdict(describe_machine(work.threads, accelerator)),
        "data": data.name,
        "images": len(data),
        "spec": asdict(work.spec),
        "batch": work.batch,
        "probe_rows": work.probe_rows,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(output, f"{json.dumps(head | dict(numbers), indent=1, allow_nan=False)}\n".encode())

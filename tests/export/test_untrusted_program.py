"""Exported programs are code: one that this machine did not write is never loaded.

Each hostile file is first shown to run its code under plain ``torch.export.load``.
"""

import contextlib
import io
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.opening import open_backend
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import Dataset
from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.plans.trust import tag_path

_REFUSED = r"loading it runs code from it, and it does not carry this machine's tag.*--trust-plan"


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self._marker,)


@pytest.fixture
def plan(fp32_plan: Plan, tmp_path: Path) -> Plan:
    """Return a copy of a plan, whose cached program a test may replace."""
    shutil.copytree(fp32_plan.directory, tmp_path / "plan")
    return read_plan(tmp_path / "plan")


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """Return a file that hostile code would make."""
    return tmp_path / "marker"


def _rewrite(content: bytes, member: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return the archive with the member whose name ends with ``member`` changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        for entry in source.infolist():
            data = source.read(entry)
            target.writestr(entry.filename, change(data) if entry.filename.endswith(member) else data)
    return out.getvalue()


def _with_hostile_sample_input(content: bytes, marker: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(((Touch(marker),), {}), buffer)
    return _rewrite(content, "sample_inputs/model.pt", lambda data: buffer.getvalue())


def _with_hostile_expression(content: bytes, marker: Path) -> bytes:
    def change(data: bytes) -> bytes:
        code = f"__import__('pathlib').Path({str(marker)!r}).touch() or Symbol('s0', positive=True, integer=True)"
        program = json.loads(data)
        assert _replace_expressions(program, code) > 0
        return json.dumps(program).encode()

    return _rewrite(content, "models/model.json", change)


def _replace_expressions(value: object, code: str) -> int:
    """Put ``code`` into every ``expr_str`` below ``value``; return how many there were."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = sum(_replace_expressions(child, code) for child in children)
    if isinstance(value, dict) and "expr_str" in value:
        value["expr_str"] = code
        found += 1
    return found


_HOSTILE = pytest.mark.parametrize("craft", [_with_hostile_sample_input, _with_hostile_expression])


def _open(plan: Plan, data: Dataset, *, trust: bool = False) -> None:
    options = BackendOptions(name="torch", batch=8, threads=1, probe_rows=8, trust=trust)
    open_backend(plan, plan.record.graphs[0].sigma, 1, options, data.images, data.indices).close()


@_HOSTILE
def test_plain_pytorch_runs_the_code_of_a_hostile_program(
    plan: Plan, marker: Path, craft: Callable[[bytes, Path], bytes]
) -> None:
    hostile = craft(plan.cached_program(plan.record.graphs[0].sigma).read_bytes(), marker)
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # what follows the code is of no interest
        warnings.simplefilter("ignore")
        torch.export.load(io.BytesIO(hostile))
    assert marker.exists()


@_HOSTILE
def test_a_hostile_program_is_refused_before_it_is_read(
    plan: Plan, marker: Path, digits: Dataset, craft: Callable[[bytes, Path], bytes]
) -> None:
    path = plan.cached_program(plan.record.graphs[0].sigma)
    path.write_bytes(craft(path.read_bytes(), marker))
    with pytest.raises(InputError, match=_REFUSED):
        _open(plan, digits)
    assert not marker.exists()


@_HOSTILE
def test_a_hostile_program_without_a_tag_or_with_a_made_up_one_is_refused(
    plan: Plan, marker: Path, digits: Dataset, craft: Callable[[bytes, Path], bytes]
) -> None:
    path = plan.cached_program(plan.record.graphs[0].sigma)
    path.write_bytes(craft(path.read_bytes(), marker))
    tag_path(path).write_text("0" * 64)
    with pytest.raises(InputError, match=_REFUSED):
        _open(plan, digits)
    tag_path(path).unlink()
    with pytest.raises(InputError, match=_REFUSED):
        _open(plan, digits)
    assert not marker.exists()


@pytest.mark.slow
def test_a_program_of_another_machine_is_refused_and_loaded_only_on_trust(
    plan: Plan, digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _open(plan, digits)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another machine"))
    with pytest.raises(InputError, match=_REFUSED):
        _open(plan, digits)
    _open(plan, digits, trust=True)


def test_a_program_of_this_machine_for_another_graph_is_refused(plan: Plan, fp16_plan: Plan, digits: Dataset) -> None:
    ours, other = (held.cached_program(held.record.graphs[0].sigma) for held in (plan, fp16_plan))
    shutil.copy(other, ours)
    shutil.copy(tag_path(other), tag_path(ours))
    with pytest.raises(InputError, match=_REFUSED):
        _open(plan, digits)


def test_a_plan_without_its_cache_says_how_to_get_one(plan: Plan, digits: Dataset) -> None:
    shutil.rmtree(plan.directory / "cache")
    with pytest.raises(InputError, match=r"no such cached file; make it on this machine with `engine-export`"):
        _open(plan, digits)

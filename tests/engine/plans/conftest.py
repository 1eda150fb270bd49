"""A written plan of two graphs, which each test may change."""

import shutil
from pathlib import Path

import pytest

from purecert.engine.plans.plan import Plan, read_plan, write_plan
from support.half_plans import GRAPHS, RECORD


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("plan")
    for name, content in GRAPHS.items():
        (directory / name).write_bytes(content)
    return write_plan(directory, RECORD).directory


@pytest.fixture
def plan(written: Path, tmp_path: Path) -> Plan:
    """Return a copy to change."""
    shutil.copytree(written, tmp_path / "plan")
    return read_plan(tmp_path / "plan")

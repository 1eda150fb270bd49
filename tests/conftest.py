"""What many tests share: a machine key of their own, every way to draw noise, and plans of the committed demo model."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import settings

from purecert.engine.noise.paths import NoisePath
from support.commands import engine
from support.noise_paths import PATHS, missing_path
from support.shared_files import reads_shared

# A busy machine is no failed test.
settings.register_profile("purecert", deadline=None)
settings.load_profile("purecert")

_REDUCED_DRAWS = "400"  # the gate itself is tested in tests/export; here it only has to be passed


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Let only tests that are marked for it read ../shared."""
    reads_shared.set(item.get_closest_marker("shared") is not None)


@pytest.fixture(scope="session", autouse=True)
def _own_machine_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests away from the user's key, and the user's plans away from the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", os.fspath(_of_all_processes(tmp_path_factory) / "config"))
        yield


def _of_all_processes(factory: pytest.TempPathFactory) -> Path:
    """Return the temporary folder of this run of tests, the same in each of its processes."""
    folder = factory.getbasetemp()
    return folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest) -> NoisePath:
    """Return each noise path in turn, skipping one that this machine lacks."""
    chosen = cast(NoisePath, request.param)
    reason = missing_path(chosen)
    if reason is not None:
        pytest.skip(reason)
    return chosen


@pytest.fixture(scope="session")
def demo_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an FP32 plan of the demo model at sigma 0.5."""
    return _exported_once(tmp_path_factory, "fp32")


@pytest.fixture(scope="session")
def demo_plan_fp16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an FP16 plan of the demo model at sigma 0.5."""
    return _exported_once(tmp_path_factory, "fp16")


def _exported_once(factory: pytest.TempPathFactory, precision: str) -> Path:
    """Return a plan that the first test process which needs it exports, and all others share."""
    folder = _of_all_processes(factory)
    plan = folder / f"demo-{precision}"
    with (folder / f"demo-{precision}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not plan.exists():
            arguments = ["--sigma", "0.5", "--precision", precision, "--parity-draws", _REDUCED_DRAWS]
            engine("export", "demo", "--out", plan, *arguments).expect(0)
    return plan

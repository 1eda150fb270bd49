"""The two ways to draw noise, as a fixture, and the native module where it is built."""

from types import ModuleType
from typing import cast

import pytest

from purecert.engine.noise import NoisePath


@pytest.fixture(scope="session")
def kernels() -> ModuleType:
    """Return the native module, or skip."""
    module = pytest.importorskip("purecert._kernels", reason="the native module is not built", exc_type=ImportError)
    return cast(ModuleType, module)


@pytest.fixture(params=["native", "torch"])
def path(request: pytest.FixtureRequest) -> NoisePath:
    """Return each path in turn, skipping one that this machine lacks."""
    name = cast(NoisePath, request.param)
    module = "purecert._kernels" if name == "native" else "torch"
    pytest.importorskip(module, reason=f"the {name} noise path is not installed", exc_type=ImportError)
    return name

"""The native module where it is built."""

from types import ModuleType
from typing import cast

import pytest


@pytest.fixture(scope="session")
def kernels() -> ModuleType:
    """Return the native module, or skip."""
    module = pytest.importorskip("purecert._kernels", reason="the native module is not built", exc_type=ImportError)
    return cast(ModuleType, module)

"""The kernels' headers as a library for tests, compiled once."""

import os
import shutil
from importlib.util import find_spec

import pytest

from support.noise_audit.shim import Shim, build_shim


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Shim:
    """Return the headers' arithmetic without a fault, or skip."""
    if find_spec("purecert._kernels") is None:
        pytest.skip("the native module, which prepares the tables, is not built")
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("no C++ compiler for the kernels' headers")
    return Shim(build_shim(tmp_path_factory.mktemp("shim")))

"""The fake driver, built once for the tests that start processes on it."""

from pathlib import Path

import pytest

from support.fake_cuda import build_driver


@pytest.fixture(scope="session")
def fake_cuda_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library of a CUDA driver for processes that ``support.fake_cuda.cases`` starts."""
    return build_driver(tmp_path_factory.mktemp("fake_cuda"))

"""Files beside the repository, in ../shared, which a user's clone lacks: tests that read them are marked ``shared``."""

from contextvars import ContextVar
from pathlib import Path

import pytest

_SHARED = Path(__file__).parents[2].parent / "shared"

# Whether the test that runs is marked; set before each test.
reads_shared: ContextVar[bool] = ContextVar("reads_shared")


def shared(path: str) -> Path:
    """Return a file or folder beside the repository, or skip the test, which must be marked as one that reads it."""
    assert reads_shared.get(), f"expected a test that reads ../shared/{path} to be marked with pytest.mark.shared"
    if not (_SHARED / path).exists():
        pytest.skip(f"../shared/{path} is not on this machine")
    return _SHARED / path

"""The programs in benchmarks/ are started as a reader starts them."""

import pytest


@pytest.fixture(autouse=True)
def programs_find_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the variable out of the environment that keeps a program's own folder from its imports."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)

"""A run whose run.json is replaced or deleted while it goes on ends with an error; its lines belong to no run there."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.backends.base import BackendOptions
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.records.lines import Line
from purecert.engine.running import run as running
from purecert.engine.running.progress import Progress
from support.simulated_graph import SimulatedGraph

_PLAN = Path(__file__).parents[2] / "vectors" / "runs-of-schema-3" / "plan"


class _Meddling(Progress):
    """Changes the run when its first image is finished."""

    def __init__(self, change: Callable[[], object]) -> None:
        self._change = change

    def rows(self, count: int) -> None:
        pass

    def image(self, line: Line) -> None:
        if line.index == 0:
            self._change()


@pytest.mark.parametrize("change", ["delete", "replace", "leave"])
def test_a_run_whose_record_is_replaced_ends_with_an_error(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    laws = np.tile([0.1] * 10 + [0.0], (3, 1))
    monkeypatch.setattr(running, "open_backend", lambda *_, **__: SimulatedGraph(laws, seed=1, batch=64))
    record = tmp_path / "run" / "run.json"
    changes: dict[str, Callable[[], object]] = {
        "delete": record.unlink,
        "replace": lambda: record.write_bytes(record.read_bytes() + b" "),
        "leave": record.read_bytes,
    }
    request = running.RunRequest(
        plan=read_plan(_PLAN),
        dataset=load_dataset("digits:test[:3]"),
        spec=SmoothingSpec(mode="certify", sigma=0.25, n_select=10, n_estimate=50),
        backend=BackendOptions(),
        output=tmp_path / "run",
        invocation={},
    )
    if change == "leave":
        assert len(running.execute(request, _Meddling(changes[change])).lines) == 3
        return
    with pytest.raises(InputError, match=r"found none|it was changed"):
        running.execute(request, _Meddling(changes[change]))

"""Each reason against a row, alone and at its limit."""

from collections.abc import Sequence

import pytest

from purecert.engine.bench.agreement import Agreement
from purecert.engine.bench.judge import agreement_limit, reasons_against
from purecert.engine.bench.latency import latency_of
from purecert.engine.bench.timing import Timing

_BATCH = 10
_GOOD = Agreement(draws=2000, images=20, same=1990)


def _reasons(
    *,
    latencies: Sequence[float] = (0.125,) * 80,
    warm_up: float = 2.0,
    rows: int = 800,
    seconds: float = 10.0,
    agreement: Agreement | str = _GOOD,
    limit: float = 0.995,
) -> list[str]:
    timing = Timing(
        warm_up_seconds=warm_up,
        latencies=tuple(latencies),
        latency_seconds=sum(latencies),
        rows=rows,
        seconds=seconds,
    )
    return list(reasons_against(timing, latency_of(latencies), _BATCH, agreement, limit))


def test_nothing_speaks_against_a_row_at_every_limit() -> None:
    assert _reasons() == []
    # Nearly a tenth more in the last third, and a fifth less of the rate.
    assert _reasons(latencies=(1.25,) * 8 + (1.36,) * 4, rows=64) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"warm_up": 0.3}, "warmed up for 0.3 s, under 2 s"),
        ({"seconds": 9.9}, "measured under 10 s"),
        ({"latencies": (0.125,) * 79}, "measured under 10 s"),
        ({"latencies": (0.125,) * 40 + (0.15,) * 80}, "latency drifted by +20% from the first to the last third"),
        ({"latencies": (0.125,) * 70 + (0.1,) * 40}, "latency drifted by -20% from the first to the last third"),
        ({"rows": 560}, "only 70% of the rate that batches of median latency reach"),
        ({"agreement": "no model file"}, "agreement with eager FP32 was not checked: no model file"),
        ({"agreement": Agreement(draws=1999, images=20, same=1999)}, "checked on 1999 draws, under 2000"),
        ({"agreement": Agreement(draws=2000, images=20, same=1989)}, "1989 of 2000 labels equal eager FP32's, under"),
    ],
)
def test_each_reason_stands_alone(changes: dict[str, object], words: str) -> None:
    (reason,) = _reasons(**changes)  # type: ignore[arg-type]  # by name
    assert words in reason


def test_every_reason_is_named() -> None:
    assert len(_reasons(latencies=(0.1, 0.1, 0.2), warm_up=0, seconds=1, rows=30, agreement="none")) == 5


@pytest.mark.parametrize(
    ("plan", "executed", "limit"),
    [
        ("fp32", "fp32", 0.999),
        ("fp16", "fp16", 0.995),
        ("fp16", "fp32", 0.995),  # the weights are FP16's all the same
        ("fp32", "bf16", 0.98),
        ("fp32", "tf32", 0.995),
    ],
)
def test_the_limit_is_that_of_the_coarser_precision(plan: str, executed: str, limit: float) -> None:
    assert agreement_limit(plan, executed) == limit

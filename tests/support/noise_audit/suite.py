"""All tests of a source, by name, at the two sizes in which they are run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from purecert.engine.noise.table import extra_noise, smoothing_noise
from support.noise_audit.correlations import ARRANGEMENTS, correlation_findings
from support.noise_audit.counts import table_findings, wide_findings
from support.noise_audit.finding import Finding
from support.noise_audit.lags import lag_findings
from support.noise_audit.pairs import pair_findings
from support.noise_audit.source import NoiseSource

SIGMAS = (0.12, 0.25, 0.5, 1.0)
WIDE_SIGMA = 14.0  # 65,000 thresholds


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """How much is drawn."""

    draws: int  # of each table
    wide_draws: int
    correlation_chunks: int  # 5.9 million draws each
    pair_chunks: int  # .4 to .8 million pairs each
    lag_rounds: int  # 2.1 million draws each
    word_chunks: int  # 262,144 words each


QUICK = Effort(draws=10**7, wide_draws=10**8, correlation_chunks=1, pair_chunks=4, lag_rounds=1, word_chunks=8)
FULL = Effort(draws=10**9, wide_draws=10**9, correlation_chunks=8, pair_chunks=128, lag_rounds=8, word_chunks=64)

Test = Callable[[NoiseSource], list[Finding]]


def noise_tests(effort: Effort, seed: int) -> Mapping[str, Test]:
    """Return every test of noise values; the seeds differ, so that no test looks at another one's draws."""
    tables = {f"counts, sigma {sigma:g}": (smoothing_noise(sigma), 0) for sigma in SIGMAS}
    tables |= {"counts, sigma .01": (smoothing_noise(0.01), 0), "counts, extra input": (extra_noise(), 1)}
    tests: dict[str, Test] = {
        name: partial(table_findings, table=table, draws=effort.draws, purpose=purpose)
        for name, (table, purpose) in tables.items()
    }
    tests["counts, wide table"] = partial(wide_findings, sigma=WIDE_SIGMA, draws=effort.wide_draws)
    for arrangement in ARRANGEMENTS:
        name = f"correlations, {arrangement}"
        tests[name] = partial(correlation_findings, arrangement=arrangement, chunks=effort.correlation_chunks)
    tests["correlations, lags"] = partial(lag_findings, rounds=effort.lag_rounds)
    tests["pairs"] = partial(pair_findings, chunks=effort.pair_chunks)
    return {name: partial(test, seed=seed + 2**40 * number) for number, (name, test) in enumerate(tests.items())}

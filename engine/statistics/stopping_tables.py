"""A stopping table: looks at growing numbers of draws, and from how many successes on they certify or give up.

After n_i draws a table certifies with at least high_i successes, gives up with at most low_i, and goes on between. It
is plain numbers, which a run records. How often it errs is computed in table_errors.py; table_making.py makes one.
"""

import reprlib
from dataclasses import dataclass

from purecert.engine.errors import InputError

TABLE_FORM = 1
# Past these a table would take minutes to make or to check; the bound that holds at every n (anytime.py) has no limit.
MAX_TABLE_DRAWS = 1_000_000
MIN_TABLE_ALPHA = 1e-12
MOST_TABLES = 32  # of one image: each takes seconds to make, and a part of one to check
MIN_PRICE, MAX_PRICE = 1.0, 1e15  # of a lost certificate, in draws
_MOST_LOOKS = 1024
# Phi^-1(p) over images: wide, since nothing is known of them. Narrower laws draw as much (docs/stopping-early.md).
LAW_MEAN, LAW_STD = 1.0, 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class StoppingTable:
    """When draws of one image stop asking whether a class is likelier than a threshold.

    Raises:
        InputError: The numbers are no table.
    """

    form: int  # of this record
    threshold: float  # the probability to exceed, in [1/2, 1)
    n: int  # draws, at the most
    alpha: float  # probability, at most, to certify at the threshold
    price: float  # what it was made for: so many draws are worth a certificate that fixed n would have given
    law_mean: float  # and for this law of Phi^-1(p) over images
    law_std: float
    looks: tuple[int, ...]  # numbers of draws, increasing; the last is n
    high: tuple[int, ...]  # certify at so many successes or more; more than there are draws: never
    low: tuple[int, ...]  # give up at so many or fewer; -1: never

    def __post_init__(self) -> None:
        _require(self.form == TABLE_FORM, f"a stopping table of form {TABLE_FORM}", self.form)
        _require(0.5 <= self.threshold < 1, "a table's threshold in [1/2, 1)", self.threshold)
        _require(1 <= self.n <= MAX_TABLE_DRAWS, f"a table of at most {MAX_TABLE_DRAWS} draws", self.n)
        _require(MIN_TABLE_ALPHA <= self.alpha < 0.5, f"a table's alpha in [{MIN_TABLE_ALPHA}, 0.5)", self.alpha)
        _require(MIN_PRICE <= self.price <= MAX_PRICE, f"a price in [{MIN_PRICE}, {MAX_PRICE}] draws", self.price)
        law = (self.law_mean, self.law_std)
        _require(law == (LAW_MEAN, LAW_STD), f"a table made for the law N({LAW_MEAN}, {LAW_STD}^2)", law)
        _require(len(self.looks) == len(self.high) == len(self.low), "as many bounds as looks", len(self.high))
        _require(1 <= len(self.looks) <= _MOST_LOOKS, f"a table of 1 to {_MOST_LOOKS} looks", len(self.looks))
        _require(self.looks[-1] == self.n, f"a last look at n = {self.n}", self.looks[-1])
        before = 0
        for draws, high, low in zip(self.looks, self.high, self.low, strict=True):
            _require(before < draws, f"a look after more than {before} draws", draws)
            _require(-1 <= low < high <= draws + 1, f"-1 <= low < high <= {draws + 1} after {draws} draws", (low, high))
            _require(high > self.threshold * draws, f"more successes to certify than {draws} draws at p0 show", high)
            before = draws
        _require(self.high[-1] == self.low[-1] + 1, "a last look that leaves nothing open", self.low[-1])

    def __hash__(self) -> int:
        """Return a hash that does not read thousands of numbers; equality compares them all."""
        return hash((self.threshold, self.n, self.alpha, self.price))


def _require(condition: bool, wanted: str, came: object) -> None:
    if not condition:
        raise InputError(f"expected {wanted}, got {reprlib.repr(came)}")

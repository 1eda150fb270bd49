"""What a verification found: its end state, and everything that a reader must know beside it."""

from dataclasses import dataclass
from typing import Literal

from purecert.engine.procedures.spec import SmoothingSpec
from purecert.engine.verification.fresh_power import Power

State = Literal["verified", "not reproduced", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A part of the engine that is not the run's here."""

    field: str  # of ``backend`` in run.json
    run: str
    here: str

    def __str__(self) -> str:
        """Return the difference in words."""
        return f"{self.field} is {self.here} here, {self.run} in the run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """How many of the replayed images keep their class out to each radius (of predictions: their answer at all)."""

    radii: tuple[float, ...]  # empty of predictions, which have one count each
    as_written: tuple[int, ...]
    replayed: tuple[int, ...]  # by the replay's own counts
    smaller: tuple[int, ...]  # and also where every differing draw is taken from the class


@dataclass(frozen=True, kw_only=True, slots=True)
class Elsewhere:
    """What a replay on another engine tells."""

    toward: int  # votes that the run has more of for its classes than the replay, net of each image
    away: int  # and fewer
    p_value: float  # of so many toward, by chance
    claims: Claims


@dataclass(frozen=True, kw_only=True, slots=True)
class FreshSeed:
    """A share of the images certified again under a seed of the verifier's own."""

    seed: int
    images: int
    test: Literal["stratified by image", "sign flips over images"]
    votes: int  # for the run's classes, as the run says
    draws: int
    fresh_votes: int
    fresh_draws: int
    contradicted: int | None  # claims that the fresh draws exclude; None of a fixed n, where the one test says all
    p_value: float
    power: Power  # what the test could find of so many images and draws


@dataclass(frozen=True, kw_only=True, slots=True)
class Escape:
    """How likely a forgery of some rows was not among those replayed."""

    rows: int
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Unchecked:
    """What was not checked, or cannot be."""

    marks: tuple[str, ...]  # of the run, as reports print them
    own_word: tuple[str, ...]  # what run.json says and nothing here confirms
    escapes: tuple[Escape, ...]
    never_seen: tuple[str, ...]  # by any verification


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What was checked and what was wrong."""

    spec: SmoothingSpec  # what the run claims of each image, and how its draws end
    images: int  # lines whose form and arithmetic were checked
    replayed: int  # images whose noise and graph were run again
    exact: bool | None  # the replay ran on the engine that the run names, so every vote must agree; None: no replay
    differences: tuple[Difference, ...]  # of the engine here; empty where exact
    differing_labels: int  # at least this many of the replayed draws got another label
    replayed_draws: int
    plan: str  # SHA-256 of plan.json: whether that is the plan in question is for the reader to say
    data: str  # fingerprint of indices, pixels and labels
    data_name: str
    slice: str | None  # which of the data set's images these are
    elsewhere: Elsewhere | None  # of a replay on another engine
    fresh: FreshSeed | None
    unchecked: Unchecked
    problems: tuple[str, ...]  # one line each

    @property
    def state(self) -> State:
        """Return how it ended: only votes that were reproduced on the run's own engine are verified."""
        if self.problems:
            return "failed"
        return "verified" if self.exact else "not reproduced"

    @property
    def verified(self) -> bool:
        """Return whether nothing was found wrong and every replayed vote was reproduced on the run's own engine."""
        return self.state == "verified"

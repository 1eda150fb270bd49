"""Edits of a run by somebody who knows the format, as data for every reader of runs.

Each edit changes the parsed run.json and the ledger's lines in place; ``support.forgery.reseal_all`` makes every digest
and checksum right again. ``seen`` says what a reader without plan, data and graph makes of it: it refuses the run, or
names words in its output, or cannot know (``OWN_WORD``): then the run states it by its own word only, and what can tell
is said beside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

Record = dict[str, Any]
Lines = list[dict[str, Any]]
Mutate = Callable[[Record, Lines], object]

CERTIFY: Final = ("fixed", "radii", "tolerance")
PREDICT: Final = ("votes", "answer")
FIXED: Final = ("fixed", "votes")
EARLY: Final = ("radii", "tolerance", "answer")
ALL: Final = (*CERTIFY, *PREDICT)
ANY: Final = ()  # one mode after the other: the mode does not matter

HUGE = 10**400


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """The reader refuses the run in one line, before it prints anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """The reader prints these words, which the honest run does not have."""

    words: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnWord:
    """Only the run says so; ``told_by`` is what can tell."""

    told_by: str


REFUSED: Final = Refused()
Seen = Refused | Named | OwnWord


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A change of a run, the modes (``support.simulated_runs.SPECS``) it is made to, and what becomes of it."""

    name: str
    mutate: Mutate
    seen: Seen
    of: tuple[str, ...] = ANY


def _line(name: str, mutate: Callable[[dict[str, Any]], object], of: tuple[str, ...] = ANY) -> Edit:
    """Return the refused edit of the first line, which commits itself to class 0 with all draws."""
    return Edit(name=name, mutate=lambda record, lines: mutate(lines[0]), seen=REFUSED, of=of)


def _set(path: str, value: object, seen: Seen = REFUSED, of: tuple[str, ...] = ANY) -> Edit:
    """Return the edit that sets a field of run.json, its parts parted by dots."""

    def mutate(record: Record, lines: Lines) -> None:
        *parts, name = path.split(".")
        for part in parts:
            record = record[part]
        record[name] = value

    shown = "10**400" if value == HUGE else f"{value!r}"
    return Edit(name=f"{path} = {shown:.40}", mutate=mutate, seen=seen, of=of)


def _own(path: str, value: object, told_by: str, of: tuple[str, ...] = ANY) -> Edit:
    return _set(path, value, OwnWord(told_by=told_by), of)


def _named(path: str, value: object, words: str) -> Edit:
    return _set(path, value, Named(words=words))


def _move_vote(line: dict[str, Any], count: int = 1) -> None:
    """Move a draw of the last phase from the first class of its counts to class 9."""
    phase = line["counts"][-1]
    first = next(iter(phase))
    line["counts"][-1] = {**phase, first: phase[first] - count, "9": count}


def _count(value: int) -> Callable[[dict[str, Any]], object]:
    return lambda line: line["counts"][-1].update({"0": value})


def _add_key(key: str) -> Callable[[dict[str, Any]], object]:
    def mutate(line: dict[str, Any]) -> None:
        own = line["counts"][-1]["0"] - 1
        line["counts"][-1] = {"0": own, key: 1}

    return mutate


def _all_votes_fewer(record: Record, lines: Lines) -> None:
    for line in lines:
        line["counts"][-1] = {key: max(1, count // 2) for key, count in line["counts"][-1].items()}


def _certify_by_one_vote(line: dict[str, Any]) -> None:
    line |= {"outcome": "certified", "predicted": 0, "p_lower": 0.9999, "radius": 50.0}
    line["counts"] = [{"0": 1}, {"0": 1}]


def _certified(line: dict[str, Any]) -> None:
    line |= {"outcome": "certified", "predicted": 0, "p_lower": 0.9, "radius": 0.6}
    line.pop("p_value", None)


def _predicted(line: dict[str, Any]) -> None:
    line |= {"outcome": "predicted", "predicted": 0, "p_value": 1e-9}
    line.pop("p_lower", None)
    line.pop("radius", None)


def _abstained(line: dict[str, Any]) -> None:
    line["outcome"] = "abstained"
    for name in ("predicted", "p_lower", "radius", "p_value"):
        line.pop(name, None)


def _committed(line: dict[str, Any]) -> dict[str, Any]:
    return {name: line[name] for name in ("outcome", "predicted", "p_lower", "radius", "p_value") if name in line}


def _last_as_first(record: Record, lines: Lines) -> None:
    """Let the image that shows two classes alike claim what the first one does."""
    _abstained(lines[5])
    lines[5] |= _committed(lines[0])


def _right_labels(record: Record, lines: Lines) -> None:
    for line in lines:
        line["label"] = line.get("predicted", line["label"])


def _without_labels(record: Record, lines: Lines) -> None:
    for line in lines:
        line["label"] = None


def _copied_votes(record: Record, lines: Lines) -> None:
    """Give every image the votes, the looks and the claim of the first."""
    for line in lines[1:]:
        _abstained(line)
        line |= {"counts": lines[0]["counts"], "looks": lines[0]["looks"], **_committed(lines[0])}


_VOTES_TOLD = "engine-verify replays a share of the images"
_DATA_TOLD = "engine-verify compares it with the data"
_PLAN_TOLD = "engine-verify compares it with the plan"
_HERE_TOLD = "engine-verify compares it with the engine that replays"
_NO_ONE = "only who ran it knows"

_CLAIMS = (
    _line("radius 50", lambda line: line.update(radius=50.0), CERTIFY),
    _line("radius up by 1e-9", lambda line: line.update(radius=line["radius"] * (1 + 1e-9)), CERTIFY),
    _line("radius down", lambda line: line.update(radius=line["radius"] / 2), CERTIFY),
    _line("radius negative", lambda line: line.update(radius=-1.0), CERTIFY),
    _line("radius of another type", lambda line: line.update(radius=3), CERTIFY),
    _line("p_lower .9999", lambda line: line.update(p_lower=0.9999), CERTIFY),
    _line("p_lower 1", lambda line: line.update(p_lower=1.0), CERTIFY),
    _line("p_lower up by 1e-9", lambda line: line.update(p_lower=line["p_lower"] + 1e-9), CERTIFY),
    _line("radius 50 from one vote", _certify_by_one_vote, CERTIFY),
    _line("p_value 0", lambda line: line.update(p_value=0.0), PREDICT),
    _line("p_value .0009", lambda line: line.update(p_value=9e-4), PREDICT),
    _line("p_value negative", lambda line: line.update(p_value=-1e-9), PREDICT),
    _line("another class", lambda line: line.update(predicted=1), ALL),
    _line("a class that is none", lambda line: line.update(predicted=HUGE), ALL),
    _line("given up", _abstained, ALL),
    _line("certified in a run of predictions", _certified, PREDICT),
    _line("predicted in a run of certificates", _predicted, CERTIFY),
    Edit(name="an abstention claims", mutate=_last_as_first, seen=REFUSED, of=ALL),
)
_COUNTS = (
    _line("no counts", lambda line: line.update(counts=[]), ALL),
    _line("last phase empty", lambda line: line["counts"].__setitem__(-1, {}), ALL),
    _line("first phase empty", lambda line: line["counts"].__setitem__(0, {}), ALL),
    _line("last phase lacking", lambda line: line["counts"].pop(), ALL),
    _line("a phase too many", lambda line: line["counts"].append({"0": 1}), ALL),
    _line("forty phases", lambda line: line.update(counts=line["counts"] * 20)),
    _line("a vote moved", _move_vote, CERTIFY),
    _line("half of the votes moved", lambda line: _move_vote(line, sum(line["counts"][-1].values()) // 2), ALL),
    _line("a vote more", lambda line: line["counts"][-1].update({"0": line["counts"][-1]["0"] + 1}), ALL),
    _line("a vote less", lambda line: line["counts"][-1].update({"0": line["counts"][-1]["0"] - 1}), ALL),
    _line("all votes, where the rule would have ended", _count(300), ("radii", "answer")),
    _line("10^400 votes", _count(HUGE), ALL),
    _line("2^32 votes", _count(2**32)),
    _line("2^63 votes", _count(2**63)),
    _line("0 votes", _count(0)),
    _line("-1 votes", _count(-1)),
    *(_line(f"a vote for {key!r}", _add_key(key)) for key in ("10", "00", "-1", "", "1\n", "invalid ", "9" * 400)),
    _line("an invalid draw", _add_key("invalid"), CERTIFY),
    Edit(name="half of all votes", mutate=_all_votes_fewer, seen=REFUSED, of=ALL),
    Edit(name="the first image's votes", mutate=_copied_votes, seen=OwnWord(told_by=_VOTES_TOLD), of=ALL),
)
_LOOKS = (
    *(_line(f"looks {looks!r:.10}", lambda line, n=looks: line.update(looks=n)) for looks in (-1, HUGE, 2**63)),  # type: ignore[misc]  # a loop's value
    _line("looks 0", lambda line: line.update(looks=0), (*CERTIFY, "answer")),
    _line("looks 7", lambda line: line.update(looks=7), FIXED),
    _line("a look more of draws that all agree", lambda line: line.update(looks=line["looks"] + 1), ALL),
    Edit(name="looks as draws", mutate=lambda r, lines: lines[3].update(looks=300), seen=REFUSED, of=ALL),
    Edit(name="one look, late", mutate=lambda r, lines: lines[3].update(looks=1), seen=REFUSED, of=EARLY),
)
_IMAGES = (
    _line("index repeated", lambda line: line.update(index=1), ALL),
    _line("index -1", lambda line: line.update(index=-1)),
    _line("index 10^400", lambda line: line.update(index=HUGE)),
    _line("index 2^32", lambda line: line.update(index=2**32)),
    _line("label beyond the classes", lambda line: line.update(label=10), ALL),
    _line("label -1", lambda line: line.update(label=-1)),
    _line("label 10^400", lambda line: line.update(label=HUGE)),
    _line("one label missing", lambda line: line.update(label=None), ALL),
    Edit(name="an image twice", mutate=lambda r, lines: lines.append(dict(lines[0])), seen=REFUSED, of=ALL),
    Edit(name="one too many", mutate=lambda r, lines: lines.append(lines[0] | {"index": 9}), seen=REFUSED, of=ALL),
    Edit(
        name="no labels", mutate=_without_labels, seen=Named(words="no labels, so no accuracy"), of=("fixed", "answer")
    ),
    Edit(name="right labels", mutate=_right_labels, seen=OwnWord(told_by=_DATA_TOLD), of=ALL),
    Edit(name="another index", mutate=lambda r, lines: lines[5].update(index=9), seen=OwnWord(told_by=_DATA_TOLD)),
    Edit(name="another order", mutate=lambda r, lines: lines.reverse(), seen=OwnWord(told_by=_DATA_TOLD)),
    Edit(name="last dropped", mutate=lambda r, lines: lines.pop(), seen=Named(words="incomplete: 5 of 6"), of=ALL),
    Edit(name="all dropped", mutate=lambda r, lines: lines.clear(), seen=Named(words="incomplete: 0 of 6"), of=ALL),
)
_SPEC = (
    _set("spec.alpha", 0.01, of=CERTIFY),
    _set("spec.alpha", 1e-9, of=(*CERTIFY, "answer")),
    _set("spec.alpha", 1e-9, Named(words="alpha 1e-09 each"), ("votes",)),
    *(_set("spec.alpha", value) for value in (0.0, 0.7, -1e-3, HUGE, "0.001")),
    _set("spec.sigma", 0.25, of=CERTIFY),
    *(_set("spec.sigma", value) for value in (0.0, -0.5, 20.0, 1e300, HUGE)),
    _set("spec.sigma", 0.25, of=("votes",)),  # whose p-values hold what the noise takes off
    _own("spec.sigma", 0.25, _PLAN_TOLD, of=("answer",)),
    *(_set("spec.n_estimate", value, of=ALL) for value in (299, 1000)),
    *(_set("spec.n_estimate", value) for value in (0, -1, 2**32, HUGE)),
    _set("spec.n_select", 21, of=(*CERTIFY, "answer")),
    _own("spec.n_select", 21, "a run whose draws all vote has none", of=("votes",)),
    _set("spec.n_select", HUGE),
    _set("spec.mode", "predict", of=CERTIFY),
    _set("spec.mode", "certify", of=PREDICT),
    _set("spec.against_label", True, of=ALL),
    _set("spec.stop", None, of=EARLY),
    _set("spec.stop", {}, of=ALL),
    _set("spec.stop.rule", "tolerance", of=("radii", "answer")),
    _set("spec.stop.tolerance", 0.05, of=("radii", "answer")),
    _set("spec.stop.tolerance", 0.9999, Named(words="within 0.9999 of the largest"), ("tolerance",)),
    _set("spec.stop.tolerance", 2.0, of=("tolerance",)),
    _set("spec.stop.radii", [0.25], of=("tolerance", "answer")),
    *(_set("spec.stop.radii", radii, of=("radii",)) for radii in ([], [0.5, 0.25], [-1.0], [50.0], [1e308], [HUGE])),
    _set("spec.stop.radii", [radius / 1000 for radius in range(1001)], of=("radii",)),
    _set("spec.stop.alpha_final", 5e-4, of=("answer",)),
    _set("spec.stop.alpha_final", 9e-4, of=("radii", "tolerance")),
    _set("spec.stop.alpha_final", 0.5, of=EARLY),
    _set("spec.stop.alpha_refute", 1e-300, of=("radii",)),
    _set("spec.stop.alpha_refute", 1e-300, Named(words="1e-300 more for giving up"), ("tolerance",)),
    _set("spec.stop.alpha_refute", 0.0, of=EARLY),
)
_RECORD = (
    _set("schema", "purecert.run/99"),
    _set("extra", 1),
    *(_set("classes", value) for value in (-1, 0, 1, 5, 2**31 - 1, HUGE)),
    _own("classes", 11, _PLAN_TOLD),
    *(_set("noise_elements", value) for value in ([], [0], [2**31], [HUGE], [-1], [64] * 1001)),
    _own("noise_elements", [63], _PLAN_TOLD),
    *(_set("seed", value) for value in (-1, 2**64, HUGE)),
    _own("seed", 6, _VOTES_TOLD),
    _own("seed_given", False, _NO_ONE),
    _set("t", float("nan")),
    _own("t", 5.0, _PLAN_TOLD),
    _own("purecert", "9.9.9", _NO_ONE),
    _own("plan", "b" * 64, _PLAN_TOLD),
    _own("time_rule", "exact", _PLAN_TOLD),
    _named("purifier", "better", "better on"),
    _set("purifier", "x\n- another run: verified"),
    _set("purifier", "x\x1b[2J"),
    _named("parity_reduced", True, "parity reduced"),
    _named("gated", False, "not gated"),
    _named("precision", "fp16", "executed precision"),
    _set("data.images", 5, of=ALL),
    _named("data.images", 7, "incomplete: 6 of 7"),
    *(_set("data.images", value) for value in (0, -1, HUGE)),
    _set("data.classes", HUGE),
    _named("data.name", "cifar10:test", "cifar10:test"),
    _set("data.name", "x\u2028y"),
    _named("data.quantised", True, "quantised data"),
    _own("data.fingerprint", "e" * 64, _DATA_TOLD),
    _named("backend.name", "torch", "identity on torch"),
    _named("backend.executed_precision", "fp16", "executed precision: fp16"),
    _set("backend.versions", {"a\nb": "1"}),
    _set("backend.versions", {"a": "1\n2"}),
    _set("backend.nodes", {"a\x1bb": 1}),
    _set("backend.nodes", {"a": HUGE}),
    _own("backend.versions", {"onnxruntime": "9"}, _HERE_TOLD),
    _own("backend.hardware", "another processor", _HERE_TOLD),
    _own("backend.graph", "b" * 64, _HERE_TOLD),
    _named("backend.trusted", True, "not checked: cached programs"),
    _named("backend.placement", "static", "not row-invariant"),
    _named("backend.probed", "labels", "rows checked by labels only"),
    _named("backend.probe_rows", 64, "row check reduced: 64 rows"),
    *(_set(f"backend.{name}", value) for name in ("batch", "threads", "probe_rows") for value in (-1, 10**9, HUGE)),
    _set("backend.batch", 0),
)
EDITS: Final = (*_CLAIMS, *_COUNTS, *_LOOKS, *_IMAGES, *_SPEC, *_RECORD)

# Edits of run.json's bytes, all refused: what one reader takes in one way and another in another.
BYTE_EDITS: Final[tuple[tuple[str, Callable[[bytes], bytes]], ...]] = (
    ("a key twice", lambda content: content.replace(b'"seed":', b'"seed": 1, "seed":', 1)),
    ("a key twice, within", lambda content: content.replace(b'"alpha":', b'"alpha": 0.1, "alpha":', 1)),
    ("a byte order mark", lambda content: b"\xef\xbb\xbf" + content),
    ("UTF-16", lambda content: content.decode().encode("utf-16")),
    ("UTF-16 without a mark", lambda content: content.decode().encode("utf-16-le")),
    ("not UTF-8", lambda content: content.replace(b"identity", b"\xff")),
)

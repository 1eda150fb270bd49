"""Edits of a run by somebody who knows the format, as data for every reader of runs.

Each edit changes the parsed run.json and the ledger's lines in place; ``support.forgery.reseal_all`` makes every digest
and checksum right again. ``seen`` says what a reader without plan, data and graph makes of it: it refuses the run, or
names words in its output, or cannot know (``OWN_WORD``): then the run states it by its own word only, and what can tell
is said beside it.
"""

from collections.abc import Callable
from typing import Any, Final

from support.edit_forms import (
    ALL,
    CERTIFY,
    EARLY,
    FIXED,
    HUGE,
    PREDICT,
    REFUSED,
    Edit,
    Lines,
    Named,
    OwnWord,
    Record,
    named,
    on_first_line,
    own_word,
    set_field,
)
from support.extension_edits import EXTENSION_EDITS
from support.table_edits import TABLE_EDITS


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
    on_first_line("radius 50", lambda line: line.update(radius=50.0), CERTIFY),
    on_first_line("radius up by 1e-9", lambda line: line.update(radius=line["radius"] * (1 + 1e-9)), CERTIFY),
    on_first_line("radius down", lambda line: line.update(radius=line["radius"] / 2), CERTIFY),
    on_first_line("radius negative", lambda line: line.update(radius=-1.0), CERTIFY),
    on_first_line("radius of another type", lambda line: line.update(radius=3), CERTIFY),
    on_first_line("p_lower .9999", lambda line: line.update(p_lower=0.9999), CERTIFY),
    on_first_line("p_lower 1", lambda line: line.update(p_lower=1.0), CERTIFY),
    on_first_line("p_lower up by 1e-9", lambda line: line.update(p_lower=line["p_lower"] + 1e-9), CERTIFY),
    on_first_line("radius 50 from one vote", _certify_by_one_vote, CERTIFY),
    on_first_line("p_value 0", lambda line: line.update(p_value=0.0), PREDICT),
    on_first_line("p_value .0009", lambda line: line.update(p_value=9e-4), PREDICT),
    on_first_line("p_value negative", lambda line: line.update(p_value=-1e-9), PREDICT),
    on_first_line("another class", lambda line: line.update(predicted=1), ALL),
    on_first_line("a class that is none", lambda line: line.update(predicted=HUGE), ALL),
    on_first_line("given up", _abstained, ALL),
    on_first_line("certified in a run of predictions", _certified, PREDICT),
    on_first_line("predicted in a run of certificates", _predicted, CERTIFY),
    Edit(name="an abstention claims", mutate=_last_as_first, seen=REFUSED, of=ALL),
)
_COUNTS = (
    on_first_line("no counts", lambda line: line.update(counts=[]), ALL),
    on_first_line("last phase empty", lambda line: line["counts"].__setitem__(-1, {}), ALL),
    on_first_line("first phase empty", lambda line: line["counts"].__setitem__(0, {}), ALL),
    on_first_line("last phase lacking", lambda line: line["counts"].pop(), ALL),
    on_first_line("a phase too many", lambda line: line["counts"].append({"0": 1}), ALL),
    on_first_line("forty phases", lambda line: line.update(counts=line["counts"] * 20)),
    on_first_line("a vote moved", _move_vote, CERTIFY),
    on_first_line("half of the votes moved", lambda line: _move_vote(line, sum(line["counts"][-1].values()) // 2), ALL),
    on_first_line("a vote more", lambda line: line["counts"][-1].update({"0": line["counts"][-1]["0"] + 1}), ALL),
    on_first_line("a vote less", lambda line: line["counts"][-1].update({"0": line["counts"][-1]["0"] - 1}), ALL),
    on_first_line("all votes, where the rule would have ended", _count(300), ("radii", "answer")),
    on_first_line("10^400 votes", _count(HUGE), ALL),
    on_first_line("2^32 votes", _count(2**32)),
    on_first_line("2^63 votes", _count(2**63)),
    on_first_line("0 votes", _count(0)),
    on_first_line("-1 votes", _count(-1)),
    *(
        on_first_line(f"a vote for {key!r}", _add_key(key))
        for key in ("10", "00", "-1", "", "1\n", "invalid ", "9" * 400)
    ),
    on_first_line("an invalid draw", _add_key("invalid"), CERTIFY),
    Edit(name="half of all votes", mutate=_all_votes_fewer, seen=REFUSED, of=ALL),
    Edit(
        name="the first image's votes",
        mutate=_copied_votes,
        seen=OwnWord(told_by=_VOTES_TOLD),
        of=("fixed", "radii", "tolerance", *PREDICT),
    ),
    Edit(name="the first image's votes without its stops", mutate=_copied_votes, seen=REFUSED, of=("tables",)),
)
_LOOKS = (
    *(on_first_line(f"looks {looks!r:.10}", lambda line, n=looks: line.update(looks=n)) for looks in (-1, HUGE, 2**63)),  # type: ignore[misc]  # a loop's value
    on_first_line("looks 0", lambda line: line.update(looks=0), (*CERTIFY, "answer")),
    on_first_line("looks 7", lambda line: line.update(looks=7), FIXED),
    on_first_line("a look more of draws that all agree", lambda line: line.update(looks=line["looks"] + 1), ALL),
    Edit(name="looks as draws", mutate=lambda r, lines: lines[3].update(looks=300), seen=REFUSED, of=ALL),
    Edit(name="one look, late", mutate=lambda r, lines: lines[3].update(looks=1), seen=REFUSED, of=EARLY),
)
_IMAGES = (
    on_first_line("index repeated", lambda line: line.update(index=1), ALL),
    on_first_line("index -1", lambda line: line.update(index=-1)),
    on_first_line("index 10^400", lambda line: line.update(index=HUGE)),
    on_first_line("index 2^32", lambda line: line.update(index=2**32)),
    on_first_line("label beyond the classes", lambda line: line.update(label=10), ALL),
    on_first_line("label -1", lambda line: line.update(label=-1)),
    on_first_line("label 10^400", lambda line: line.update(label=HUGE)),
    on_first_line("one label missing", lambda line: line.update(label=None), ALL),
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
    set_field("spec.alpha", 0.01, of=CERTIFY),
    set_field("spec.alpha", 1e-9, of=(*CERTIFY, "answer")),
    set_field("spec.alpha", 1e-9, Named(words="alpha 1e-09 each"), ("votes",)),
    *(set_field("spec.alpha", value) for value in (0.0, 0.7, -1e-3, HUGE, "0.001")),
    set_field("spec.sigma", 0.25, of=CERTIFY),
    *(set_field("spec.sigma", value) for value in (0.0, -0.5, 20.0, 1e300, HUGE)),
    set_field("spec.sigma", 0.25, of=("votes",)),  # whose p-values hold what the noise takes off
    own_word("spec.sigma", 0.25, _PLAN_TOLD, of=("answer",)),
    set_field("spec.n_estimate", 1000, of=ALL),
    set_field("spec.n_estimate", 299, of=(*CERTIFY, "votes")),
    set_field("spec.n_estimate", 299, Named(words="| 299 |"), ("answer",)),  # no image of it took so many draws
    *(set_field("spec.n_estimate", value) for value in (0, -1, 2**32, HUGE)),
    set_field("spec.n_select", 21, of=(*CERTIFY, "answer")),
    own_word("spec.n_select", 21, "a run whose draws all vote has none", of=("votes",)),
    set_field("spec.n_select", HUGE),
    set_field("spec.mode", "predict", of=CERTIFY),
    set_field("spec.mode", "certify", of=PREDICT),
    set_field("spec.against_label", True, of=ALL),
    set_field("spec.stop", None, of=EARLY),
    set_field("spec.stop", {}, of=ALL),
    set_field("spec.stop.rule", "tolerance", of=("radii", "answer")),
    set_field("spec.stop.tolerance", 0.05, of=("radii", "answer")),
    set_field("spec.stop.tolerance", 0.9999, Named(words="within 0.9999 of the largest"), ("tolerance",)),
    set_field("spec.stop.tolerance", 2.0, of=("tolerance",)),
    set_field("spec.stop.radii", [0.25], of=("tolerance", "answer")),
    *(
        set_field("spec.stop.radii", radii, of=("radii",))
        for radii in ([], [0.5, 0.25], [-1.0], [50.0], [1e308], [HUGE])
    ),
    set_field("spec.stop.radii", [radius / 1000 for radius in range(1001)], of=("radii",)),
    set_field("spec.stop.alpha_final", 5e-4, of=("answer",)),
    set_field("spec.stop.alpha_final", 9e-4, of=("radii", "tolerance")),
    set_field("spec.stop.alpha_final", 0.5, of=EARLY),
    set_field("spec.stop.alpha_refute", 1e-300, of=("radii",)),
    set_field("spec.stop.alpha_refute", 1e-300, Named(words="1e-300 more for giving up"), ("tolerance",)),
    set_field("spec.stop.alpha_refute", 0.0, of=EARLY),
    *(set_field("spec.stop.least_chance", value, of=("answer",)) for value in (None, 1e-9, 0.0, 0.5, -1.0, HUGE)),
    set_field("spec.stop.least_chance", 0.002, Named(words="with a chance below 0.002"), ("answer",)),
    set_field("spec.stop.least_chance", 1e-3, of=("radii", "tables", "tolerance")),
)
_RECORD = (
    set_field("schema", "purecert.run/99"),
    set_field("extra", 1),
    *(set_field("classes", value) for value in (-1, 0, 1, 5, 2**31 - 1, HUGE)),
    own_word("classes", 11, _PLAN_TOLD),
    *(set_field("noise_elements", value) for value in ([], [0], [2**31], [HUGE], [-1], [64] * 1001)),
    own_word("noise_elements", [63], _PLAN_TOLD),
    *(set_field("seed", value) for value in (-1, 2**64, HUGE)),
    own_word("seed", 6, _VOTES_TOLD),
    own_word("seed_given", False, _NO_ONE),
    set_field("t", float("nan")),
    own_word("t", 5.0, _PLAN_TOLD),
    own_word("purecert", "9.9.9", _NO_ONE),
    own_word("plan", "b" * 64, _PLAN_TOLD),
    own_word("time_rule", "exact", _PLAN_TOLD),
    named("purifier", "better", "better on"),
    set_field("purifier", "x\n- another run: verified"),
    set_field("purifier", "x\x1b[2J"),
    named("parity_reduced", True, "parity reduced"),
    named("gated", False, "not gated"),
    named("precision", "fp16", "executed precision"),
    set_field("data.images", 5, of=ALL),
    named("data.images", 7, "incomplete: 6 of 7"),
    *(set_field("data.images", value) for value in (0, -1, HUGE)),
    set_field("data.classes", HUGE),
    named("data.name", "cifar10:test", "cifar10:test"),
    set_field("data.name", "x\u2028y"),
    named("data.quantised", True, "quantised data"),
    own_word("data.fingerprint", "e" * 64, _DATA_TOLD),
    named("backend.name", "torch", "identity on torch"),
    named("backend.executed_precision", "fp16", "executed precision: fp16"),
    set_field("backend.versions", {"a\nb": "1"}),
    set_field("backend.versions", {"a": "1\n2"}),
    set_field("backend.nodes", {"a\x1bb": 1}),
    set_field("backend.nodes", {"a": HUGE}),
    own_word("backend.versions", {"onnxruntime": "9"}, _HERE_TOLD),
    own_word("backend.hardware", "another processor", _HERE_TOLD),
    own_word("backend.graph", "b" * 64, _HERE_TOLD),
    named("backend.trusted", True, "not checked: cached programs"),
    set_field("backend.placement", "static"),  # whose draws would come in whole batches
    named("backend.probed", "labels", "rows checked by labels only"),
    named("backend.probe_rows", 64, "row check reduced: 64 rows"),
    *(
        set_field(f"backend.{name}", value)
        for name in ("batch", "threads", "probe_rows")
        for value in (-1, 10**9, HUGE)
    ),
    set_field("backend.batch", 0),
)
EDITS: Final = (*_CLAIMS, *_COUNTS, *_LOOKS, *TABLE_EDITS, *EXTENSION_EDITS, *_IMAGES, *_SPEC, *_RECORD)

# Edits of run.json's bytes, all refused: what one reader takes in one way and another in another.
BYTE_EDITS: Final[tuple[tuple[str, Callable[[bytes], bytes]], ...]] = (
    ("a key twice", lambda content: content.replace(b'"seed":', b'"seed": 1, "seed":', 1)),
    ("a key twice, within", lambda content: content.replace(b'"alpha":', b'"alpha": 0.1, "alpha":', 1)),
    ("a byte order mark", lambda content: b"\xef\xbb\xbf" + content),
    ("UTF-16", lambda content: content.decode().encode("utf-16")),
    ("UTF-16 without a mark", lambda content: content.decode().encode("utf-16-le")),
    ("not UTF-8", lambda content: content.replace(b"identity", b"\xff")),
)

"""A run that an older version wrote is read, continued, reported and verified; its bytes stay as they lie on disk.

The runs in tests/vectors/runs-of-schema-3 were written at commit 51bd729 (schema purecert.run/3): six digits, fixed n,
mode radii and an early prediction, through that commit's simulated graph (tests/support/simulated_graph.py), whose
labels are the same on every machine, and which passed for ONNX Runtime on "a processor". So does their replay here.
"""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from purecert.engine.backends.base import BackendInfo
from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan
from purecert.engine.procedures.outcomes import Abstention
from purecert.engine.procedures.spec import SmoothingSpec, StopSpec
from purecert.engine.records.run import read_form, read_run
from purecert.engine.records.run_record import RUN_SCHEMA
from purecert.engine.reports.summary import summarise
from purecert.engine.reports.table import table
from purecert.engine.verification import engines, verify
from support.commands import engine
from support.forgery import lines_of, seal
from support.records import DATA, RUN, begun, with_spec, write_run
from support.simulated_graph import SimulatedGraph

_RUNS = Path(__file__).parents[2] / "vectors" / "runs-of-schema-3"
_NAMES = ("fixed", "radii", "answer")
_DATA = "digits:test[:6]"


def _laws() -> NDArray[np.float64]:
    """Return the probabilities of each image's labels under which the runs were made."""
    labels = load_dataset(_DATA).labels
    assert labels is not None
    laws = np.empty((6, 11))
    for image, p in enumerate([0.99, 0.9, 0.7, 0.55, 0.5]):
        laws[image] = (1 - p) / 10
        laws[image, labels[image]] = p
    laws[5] = [*[0.1] * 10, 0.0]
    laws[5, (labels[5] + 1) % 10] = 0.3
    laws[5] /= laws[5].sum()
    return laws


class _Recorded(SimulatedGraph):
    """The simulated graph under the identity that a run recorded."""

    identity: BackendInfo

    @property
    def info(self) -> BackendInfo:
        return self.identity


def _replaying(monkeypatch: pytest.MonkeyPatch, laws: NDArray[np.float64], identity: BackendInfo) -> None:
    def open_backend(*_: object, **__: object) -> SimulatedGraph:
        backend = _Recorded(laws, seed=11, batch=identity.batch)
        backend.identity = identity
        return backend

    monkeypatch.setattr(engines, "open_backend", open_backend)


@pytest.mark.parametrize("name", _NAMES)
def test_an_older_run_verifies_by_its_replay_under_the_identity_that_it_recorded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = read_run(_RUNS / name)
    _replaying(monkeypatch, _laws(), run.record.backend)
    found = verify.verify_run(run, read_plan(_RUNS / "plan"), load_dataset(_DATA), share=1.0, threads=1)
    assert (found.verified, found.exact, found.replayed, found.differing_labels) == (True, True, 6, 0)


@pytest.mark.parametrize("looks", [0, 1, 10**9])
def test_looks_that_no_draws_had_are_named_without_a_replay(tmp_path: Path, looks: int) -> None:
    shutil.copytree(_RUNS / "radii", tmp_path / "run")
    first, *others = lines_of(tmp_path / "run")
    seal(tmp_path / "run", [first | {"looks": looks}, *others])
    run = read_form(tmp_path / "run")
    found = verify.verify_run(run, read_plan(_RUNS / "plan"), load_dataset(_DATA), share=0.0, threads=1)
    assert [f"found 742 draws and {looks} looks" in problem for problem in found.problems] == [True]


def test_its_replay_finds_votes_that_another_classifier_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    run = read_run(_RUNS / "fixed")
    laws = _laws()
    laws[0] = laws[1]
    _replaying(monkeypatch, laws, run.record.backend)
    found = verify.verify_run(run, read_plan(_RUNS / "plan"), load_dataset(_DATA), share=1.0, threads=1)
    assert not found.verified


@pytest.mark.parametrize("name", _NAMES)
def test_the_digest_is_that_of_the_bytes_on_disk(name: str) -> None:
    content = (_RUNS / name / "run.json").read_bytes()
    assert json.loads(content)["schema"] == "purecert.run/3"
    assert read_run(_RUNS / name).digest == sha256_hex(content)


def test_every_field_of_an_older_record_arrives_where_it_stands_today() -> None:
    written = json.loads((_RUNS / "radii" / "run.json").read_text())
    record = read_run(_RUNS / "radii").record
    stop = StopSpec(rule="radii", radii=(0.0, 0.25, 0.5), alpha_final=5e-4)
    assert record.spec == SmoothingSpec(mode="certify", sigma=0.25, n_select=20, n_estimate=4000, stop=stop)
    flat = json.loads(json.dumps(asdict(record)))
    assert (flat["spec"].pop("step"), flat["spec"].pop("extension")) == (1, None)
    flat |= flat.pop("spec")
    assert (flat["stop"].pop("price"), flat["stop"].pop("tables"), flat["stop"].pop("least_chance")) == (None, [], None)
    flat["backend"]["gated"] = flat.pop("gated")
    assert (flat["data"].pop("slice"), flat["data"].pop("earlier")) == (None, [])
    assert flat == written | {"schema": RUN_SCHEMA}


def test_an_older_run_is_reported() -> None:
    summary = summarise(read_run(_RUNS / "fixed"))
    certified = [line for line in read_run(_RUNS / "fixed").lines if not isinstance(line.outcome, Abstention)]
    assert (summary.images, summary.correct, summary.abstained) == (6, len(certified), 6 - len(certified))
    assert "| fixed" in table([summary])
    assert "digits:test" in engine("report", *(_RUNS / name for name in _NAMES)).expect(0).out


@pytest.mark.parametrize("kept", [0, 3])
def test_an_older_run_that_was_cut_is_continued_to_the_bytes_of_the_whole(tmp_path: Path, kept: int) -> None:
    whole = read_run(_RUNS / "fixed")
    shutil.copytree(_RUNS / "fixed", tmp_path / "run")
    ledger = tmp_path / "run" / "certificates.jsonl"
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:kept]) + b'{"index":')
    asked = replace(whole.record, data=replace(whole.record.data, slice="[0:6] of 500"))  # as this version says
    with begun(tmp_path / "run", asked) as opened:
        assert opened.lines == whole.lines[:kept]
        for line in whole.lines[kept:]:
            opened.append(line, 1.0)
    for name in ("run.json", "certificates.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (_RUNS / "fixed" / name).read_bytes()
    with pytest.raises(InputError, match=r"begun with spec.alpha = 0.001, asked to resume with 0.01"):
        write_run(tmp_path / "run", [], with_spec(whole.record, alpha=0.01))


def test_a_run_of_schema_4_is_read_and_a_field_of_later_ones_in_it_is_refused(tmp_path: Path) -> None:
    written = json.loads(json.dumps(asdict(RUN))) | {"schema": "purecert.run/4"}
    added = {"slice": written["data"].pop("slice"), "step": written["spec"].pop("step")}
    del written["spec"]["extension"], written["data"]["earlier"]
    (tmp_path / "run.json").write_text(json.dumps(written))
    assert read_run(tmp_path).record == replace(RUN, data=replace(DATA, slice=None))
    for name, place in (("slice", "data"), ("step", "spec")):
        mixed = json.loads(json.dumps(written))
        mixed[place][name] = added[name]
        (tmp_path / "run.json").write_text(json.dumps(mixed))
        with pytest.raises(InputError, match=r"expected the fields of schema purecert.run/4, found those of a later"):
            read_run(tmp_path)


@pytest.mark.parametrize("schema", [5, 6])
def test_a_run_of_schema_5_or_6_is_read_and_a_field_of_later_ones_in_it_is_refused(tmp_path: Path, schema: int) -> None:
    stopping = with_spec(RUN, mode="predict", stop=StopSpec(rule="answer"))
    written = json.loads(json.dumps(asdict(stopping))) | {"schema": f"purecert.run/{schema}"}
    del written["spec"]["extension"], written["data"]["earlier"]
    stop = written["spec"]["stop"]
    added = {name: stop.pop(name) for name in ("least_chance", "price", "tables")[: 3 if schema == 5 else 1]}
    (tmp_path / "run.json").write_text(json.dumps(written))
    assert read_run(tmp_path).record == stopping
    for name, value in added.items():
        stop[name] = value
        (tmp_path / "run.json").write_text(json.dumps(written))
        with pytest.raises(InputError, match=r"expected the fields of schema purecert.run/., found those of a later"):
            read_run(tmp_path)
        del stop[name]
    written["backend"]["placement"] = "static"
    (tmp_path / "run.json").write_text(json.dumps(written))
    with pytest.raises(InputError, match=r"expected draws and looks at multiples of 64 under static placement"):
        read_run(tmp_path)


def test_a_run_of_schema_6_is_read_and_a_field_of_the_next_in_it_is_refused(tmp_path: Path) -> None:
    written = json.loads(json.dumps(asdict(RUN))) | {"schema": "purecert.run/6"}
    del written["spec"]["extension"], written["data"]["earlier"]
    (tmp_path / "run.json").write_text(json.dumps(written))
    assert read_run(tmp_path).record == RUN
    for name, later in (("spec", {"extension": None}), ("data", {"earlier": []})):
        (tmp_path / "run.json").write_text(json.dumps(written | {name: written[name] | later}))
        with pytest.raises(InputError, match=r"expected the fields of schema purecert.run/6, found those of a later"):
            read_run(tmp_path)


@pytest.mark.parametrize("field", ["alpha", "stop", "backend", "seed"])
def test_an_older_record_that_lacks_a_field_is_refused_and_the_field_named(tmp_path: Path, field: str) -> None:
    written = json.loads((_RUNS / "fixed" / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({name: value for name, value in written.items() if name != field}))
    with pytest.raises(InputError, match=field):
        read_run(tmp_path)


@pytest.mark.parametrize("extra", [{"spec": {"junk": 1}}, {"gated": True}, {"spec": None}])
def test_a_record_that_mixes_both_forms_is_refused(tmp_path: Path, extra: dict[str, object]) -> None:
    written = json.loads((_RUNS / "fixed" / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(written | extra))
    with pytest.raises(InputError, match=r"run.json: expected the fields of schema purecert.run/3, found those"):
        read_run(tmp_path)

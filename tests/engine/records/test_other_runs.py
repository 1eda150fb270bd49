"""A run is never continued as another one: the field that differs is named, and nothing is touched."""

from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest

from purecert.engine.errors import InputError
from purecert.engine.procedures.spec import ExtensionSpec, StopSpec
from purecert.engine.records.run_record import EarlierImages, RunRecord
from support.records import BACKEND, DATA, RUN, proven_rows, with_spec, write_run

_OTHER = {
    "schema": "purecert.run/0",
    "purecert": "9.9.9",
    "spec": {
        "mode": "predict",
        "sigma": 0.25,
        "n_select": 101,
        "n_estimate": 1001,
        "alpha": 0.002,
        "stop": StopSpec(rule="radii", radii=(0.5,)),
        "against_label": True,
        "step": 10,
        "extension": ExtensionSpec(n_first=1000, n_last=2000, alpha_first=5e-4),
    },
    "seed": 5,
    "seed_given": True,
    "plan": "c" * 64,
    "precision": "fp16",
    "parity_reduced": True,
    "purifier": "two steps",
    "time_rule": "sigma",
    "t": -0.5,
    "classes": 11,
    "noise_elements": (784,),
    "data": {
        "name": "digits:train",
        "slice": "[1:21] of 360",
        "images": 21,
        "fingerprint": "e" * 64,
        "quantised": True,
        "classes": 9,
        "earlier": (EarlierImages(slice="[0:10] of 360", images=10, fingerprint="d" * 64),),
    },
    "backend": {
        "name": "torch",
        "executed_precision": "fp16",
        "versions": {"onnxruntime": "1.2.4"},
        "graph": "b" * 64,
        "nodes": {"CPUExecutionProvider": 7},
        "trusted": True,
        "hardware": "another processor",
        "threads": 3,
        "batch": 65,
        "placement": "static",
        "probed": "labels",
        "probe_rows": 1025,
    },
    "gated": False,
}
_CHANGES = {
    f"{name}.{inner}" if isinstance(value, dict) else name: (name, inner, inner_value)
    for name, value in _OTHER.items()
    for inner, inner_value in (value.items() if isinstance(value, dict) else [(None, value)])
}


def test_the_changes_below_are_of_every_field() -> None:
    expected = [field.name for field in fields(RunRecord) if not is_dataclass(getattr(RUN, field.name))]
    expected += [f"spec.{field.name}" for field in fields(RUN.spec)]
    expected += [f"data.{field.name}" for field in fields(DATA)]
    expected += [f"backend.{field.name}" for field in fields(BACKEND)]
    assert sorted(_CHANGES) == sorted(expected)


def test_a_resume_as_another_run_is_refused_and_the_difference_named(tmp_path: Path) -> None:
    for change, (name, inner, value) in list(_CHANGES.items())[1:]:  # the first is the schema, which is no choice
        asked = replace(RUN, **{name: value if inner is None else replace(getattr(RUN, name), **{inner: value})})  # type: ignore[arg-type]  # by name
        path = write_run(tmp_path / change, proven_rows(2))
        before = path.read_bytes()
        words = rf"begun with {change} = .*, asked to resume with .*; resume with the same"
        with pytest.raises(InputError, match=words):
            write_run(tmp_path / change, proven_rows(3)[2:], asked)
        assert path.read_bytes() == before, change


def test_a_resume_that_stops_otherwise_is_refused_whichever_of_the_two_has_a_rule(tmp_path: Path) -> None:
    early = with_spec(RUN, stop=StopSpec(rule="radii", radii=(0.5,)))
    longer = with_spec(RUN, stop=StopSpec(rule="radii", radii=(0.5, 1.0)))
    write_run(tmp_path, [], early)
    with pytest.raises(InputError, match=r"begun with spec.stop = StopSpec.*, asked to resume with None"):
        write_run(tmp_path, [], RUN)
    with pytest.raises(InputError, match=r"begun with spec.stop.radii = \(0.5,\), asked to resume with \(0.5, 1.0\)"):
        write_run(tmp_path, [], longer)

"""A backend is one line of the table: what it needs, what opens it, and what the doctor asks of it."""

import inspect
import tomllib
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from purecert.engine.backends.base import BackendOptions, Segment
from purecert.engine.backends.opening import open_backend
from purecert.engine.backends.registry import BACKENDS, BackendKind, Opener, backend_kind
from purecert.engine.doctor.examination import EXAMINATIONS
from purecert.engine.errors import BackendError, InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.plans.plan import read_plan

_DIGITS = load_dataset("digits:test[:4]")
_PROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_the_doctor_examines_exactly_the_backends_of_the_table() -> None:
    assert list(EXAMINATIONS) == list(BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
def test_what_a_backend_needs_is_an_extra_of_the_package(name: str) -> None:
    extras = tomllib.loads(_PROJECT.read_text())["project"]["optional-dependencies"]
    assert BACKENDS[name].extra in extras


def test_every_opener_takes_the_same() -> None:
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    pytest.importorskip("torch", reason="PyTorch is not installed")
    signatures = {str(inspect.signature(kind.opener())) for kind in BACKENDS.values()}
    assert len(signatures) == 1


def test_a_new_line_of_the_table_is_a_backend(demo_plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "new", BACKENDS["onnxruntime"])
    options = BackendOptions(name="new", batch=8, probe_rows=8)
    with closing(open_backend(read_plan(demo_plan), 0.5, 1, options, _DIGITS.images, np.arange(4))) as backend:
        backend.place(0, 0, _DIGITS.images[0])
        assert backend.info.name == "new"
        assert backend.submit([Segment(0, 1, 0, 20)]).result().sum() == 20


def test_a_missing_package_is_named_with_the_extra_that_installs_it(
    demo_plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opener() -> Opener:
        raise ModuleNotFoundError("No module named 'runtime'", name="runtime")

    monkeypatch.setitem(BACKENDS, "new", BackendKind(extra="extra", opener=opener))
    with pytest.raises(BackendError, match=r"needs the package runtime, .* run: pip install 'purecert\[extra\]'"):
        open_backend(read_plan(demo_plan), 0.5, 1, BackendOptions(name="new"), _DIGITS.images, np.arange(4))


def test_a_package_that_does_not_load_is_told_in_one_line(demo_plan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opener() -> Opener:
        raise ImportError("libruntime.so.3: cannot open\nshared object file")

    monkeypatch.setitem(BACKENDS, "new", BackendKind(extra="extra", opener=opener))
    said = (
        r"new: what it needs is installed, but cannot be imported \(libruntime.so.3: cannot open shared object file\)"
    )
    with pytest.raises(BackendError, match=said):
        open_backend(read_plan(demo_plan), 0.5, 1, BackendOptions(name="new"), _DIGITS.images, np.arange(4))


def test_another_name_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected a backend out of onnxruntime, openvino, torch, .*, got 'new'"):
        backend_kind("new")

"""The Python face answers as the commands do, and refuses in one line what they refuse."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import purecert
from purecert.engine.errors import InputError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.procedures.spec import CertifyMode, StopSpec
from support.commands import engine

_SIGMA, _N = 0.5, 400
_NUMBERS = {"sigma": _SIGMA, "n": _N, "n0": 20, "seed": 3, "threads": 1}


@pytest.fixture(scope="module")
def run(demo_plan: Path, tmp_path_factory: pytest.TempPathFactory) -> purecert.RunResult:
    return purecert.certify(demo_plan, "digits:test[:6]", out=tmp_path_factory.mktemp("api") / "run", **_NUMBERS)


def test_a_run_from_python_has_the_bytes_of_the_same_run_from_the_command_line(
    run: purecert.RunResult, demo_plan: Path, tmp_path: Path
) -> None:
    numbers = ["--sigma", str(_SIGMA), "--n", str(_N), "--n0", "20", "--seed", "3", "--threads", "1"]
    engine("certify", "--plan", demo_plan, "--data", "digits:test[:6]", "--out", tmp_path / "run", *numbers).expect(0)
    for name in ("run.json", "certificates.jsonl"):
        assert (run.directory / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_its_certified_accuracy_is_that_of_the_report(run: purecert.RunResult) -> None:
    reported = json.loads(engine("report", run.directory, "--radii", "0,0.25,0.5", "--json").expect(0).out)
    counted = [(point["images"], point["images_at_least"]) for point in reported["certified_at"]]
    radii = [0, 0.25, 0.5]
    assert run.certified_accuracy(radii) == [images / 6 for images, _ in counted]
    assert run.certified_accuracy(radii, at_least=True) == [images / 6 for _, images in counted]
    assert run.certified_accuracy(radii)[0] > 0
    assert reported["marks"] == list(run.marks)


def test_its_accuracy_is_counted_from_its_outcomes(run: purecert.RunResult) -> None:
    pairs = zip(run.outcomes, run.labels, strict=True)
    right = [o for o, label in pairs if isinstance(o, purecert.Certificate) and o.predicted == label]
    assert run.certified_accuracy([0.25]) == [sum(outcome.radius >= 0.25 for outcome in right) / 6]
    assert run.indices == tuple(range(6))


def test_its_arrays_are_its_outcomes_and_so_is_its_data_frame(run: purecert.RunResult) -> None:
    arrays, frame = run.arrays(), run.to_pandas()
    for place, (outcome, label) in enumerate(zip(run.outcomes, run.labels, strict=True)):
        certified = isinstance(outcome, purecert.Certificate)
        assert arrays["predicted"][place] == (outcome.predicted if certified else -1)
        assert arrays["radius"][place] == (outcome.radius if certified else 0)
        assert arrays["label"][place] == label
    share = np.mean((arrays["predicted"] == arrays["label"]) & (arrays["radius"] >= 0.25))
    assert [share] == run.certified_accuracy([0.25])
    assert list(frame.columns) == [*arrays, "label_name", "predicted_name"]
    assert frame["label_name"].tolist() == [run.class_names[label] for label in arrays["label"]]
    assert all(np.array_equal(frame[name], values, equal_nan=True) for name, values in arrays.items())
    assert run.table() == str(run)


def test_a_loaded_plan_certifies_and_predicts_and_tells_of_every_image(
    run: purecert.RunResult, demo_plan: Path
) -> None:
    heard: list[tuple[int, int, object]] = []
    loaded = purecert.load(demo_plan)
    assert _SIGMA in loaded.sigmas
    again = loaded.certify("digits:test[:6]", on_image=lambda *told: heard.append(told), **_NUMBERS)
    assert again.outcomes == run.outcomes
    assert heard == [(number, 6, outcome) for number, outcome in enumerate(run.outcomes, start=1)]
    answers = loaded.predict("digits:test[:2]", sigma=_SIGMA, n=200, seed=3, threads=1)
    assert all(isinstance(outcome, purecert.Prediction | purecert.Abstention) for outcome in answers.outcomes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "mode", ["radii", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("fixed", "tolerance"))]
)
def test_a_mode_by_name_is_that_of_the_command_line(demo_plan: Path, tmp_path: Path, mode: CertifyMode) -> None:
    options = ["--data", "digits:test[:2]", "--sigma", "0.5", "--n", "200", "--n0", "20", "--seed", "1"]
    engine(
        "certify", "--plan", demo_plan, *options, "--mode", mode, "--threads", "1", "--out", tmp_path / "run"
    ).expect(0)
    numbers = {"sigma": 0.5, "n": 200, "n0": 20, "seed": 1, "threads": 1}
    purecert.load(demo_plan).certify("digits:test[:2]", mode=mode, out=tmp_path / "own", **numbers)
    for name in ("run.json", "certificates.jsonl"):
        assert (tmp_path / "own" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()


def test_a_mode_and_a_rule_are_not_taken_together(demo_plan: Path) -> None:
    stop = StopSpec(rule="radii", radii=(0.5,))
    with pytest.raises(InputError, match="expected mode or stop, got both"):
        purecert.certify(demo_plan, "digits:test[:2]", sigma=0.5, mode="radii", stop=stop)


def test_an_array_is_certified_and_its_run_verified_without_a_word_on_where_it_lies(
    demo_plan: Path, tmp_path: Path
) -> None:
    digits = load_dataset("digits:test[:3]")
    done = purecert.certify(demo_plan, digits.images, labels=digits.labels, out=tmp_path / "run", **_NUMBERS)
    named = purecert.certify(demo_plan, "digits:test[:3]", **_NUMBERS)
    assert done.outcomes == named.outcomes
    assert done.labels == named.labels
    engine("verify", tmp_path / "run", "--share", "1").expect(0)


def test_a_run_without_a_directory_can_be_saved_and_read_again(demo_plan: Path, tmp_path: Path) -> None:
    done = purecert.predict(demo_plan, "digits:test[:3]", sigma=_SIGMA, n=100, early=True, threads=1)
    saved = purecert.read_run(done.save(tmp_path / "saved"))
    assert (saved.outcomes, saved.spec) == (done.outcomes, done.spec)
    assert all(isinstance(outcome, purecert.Prediction | purecert.Abstention) for outcome in saved.outcomes)
    with pytest.raises(InputError, match="something is there already"):
        done.save(tmp_path / "saved")
    with pytest.raises(InputError, match="expected a certification run of labelled images"):
        saved.certified_accuracy()
    assert "| accuracy" in str(saved)


def test_the_curve_is_drawn_once(run: purecert.RunResult, tmp_path: Path) -> None:
    assert all(path.stat().st_size > 1000 for path in run.plot(tmp_path / "curve"))
    with pytest.raises(InputError, match="a plot is there"):
        run.plot(tmp_path / "curve")
    run.plot(tmp_path / "curve", force=True)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((2, 8, 8), np.uint8), None, r"expected images as uint8 .*, got uint8 \[2, 8, 8\]"),
        (np.zeros((0, 1, 8, 8), np.uint8), None, "at least one"),
        (
            np.zeros((2, 1, 8, 8), np.uint8),
            np.zeros(3, np.int64),
            "expected 2 integer labels, one per image",
        ),
        (np.zeros((2, 1, 8, 8), np.uint8), np.array([-1, 3]), "labels"),
        (np.zeros((2, 3, 8, 8), np.uint8), None, "expected images of shape"),
        ("digits:test[:2]", np.zeros(2, np.int64), "expected labels with an array only"),
        ("digits:nowhere", None, "digits"),
    ],
)
def test_images_that_are_none_are_refused(
    demo_plan: Path, tmp_path: Path, images: object, labels: object, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        purecert.certify(demo_plan, images, labels=labels, out=tmp_path / "run", **_NUMBERS)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_arrays_of_another_type_are_refused(demo_plan: Path) -> None:
    """In a process of its own, where nothing checks types before the functions themselves do."""
    program = (
        "import sys, numpy, purecert\n"
        "for images, labels in ((numpy.zeros((2, 1, 8, 8)), None), (numpy.zeros((2, 1, 8, 8), 'u1'), numpy.ones(2))):\n"
        "    try: purecert.certify(sys.argv[1], images, labels=labels, sigma=0.5)\n"
        "    except purecert.PurecertError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program, demo_plan], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("expected images as uint8")
    assert "got float64 [2, 1, 8, 8]; round" in first
    assert second.startswith("labels: expected 2 integer labels, one per image, found float64")


def test_messages_name_what_a_program_passes_and_not_the_options_of_commands(
    run: purecert.RunResult, demo_plan: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"out": run.directory, **_NUMBERS}
    for changes, words in (
        ({}, "a run is there; continue it with resume=True, or replace it with force=True"),
        ({"resume": True, "force": True}, "expected resume=True or force=True, got both"),
        ({"resume": True, "seed": 4}, "the run has seed 3, got 4; leave out seed"),
        ({"out": demo_plan}, "choose another out"),
        ({"out": tmp_path / "run", "sigma": 0.7}, "re-export with `engine-export --sigma 0.7`"),
        ({"out": tmp_path / "run", "images": "digits:nowhere"}, "images: expected digits:train"),
        ({"out": tmp_path / "run", "images": "cifar10:test"}, "images cifar10: expected data_dir"),
        ({"out": tmp_path / "run", "images": "digits:test[9:2]"}, "images digits:test"),
    ):
        with pytest.raises(InputError) as refusal:
            purecert.certify(demo_plan, **{"images": "digits:test[:6]", **asked, **changes})
        assert words in str(refusal.value)
        assert "--" not in re.sub("`[^`]*`", "", str(refusal.value))
    run.plot(tmp_path / "curve")
    with pytest.raises(InputError, match="choose another out, or replace it with force=True"):
        run.plot(tmp_path / "curve")
    with pytest.raises(InputError, match=r"^radii: expected radii of at least 0"):
        run.certified_accuracy([-1])
    with pytest.raises(InputError, match=r"^rho: expected a probability"):
        run.certified_accuracy([0.5], rho=2)


@pytest.mark.slow
def test_a_run_of_other_images_is_continued_by_nothing_and_replaced_by_force_alone(
    demo_plan: Path, tmp_path: Path
) -> None:
    images = load_dataset("digits:test[:2]").images
    purecert.certify(demo_plan, images, out=tmp_path / "run", **_NUMBERS)
    before = (tmp_path / "run" / "images.npz").read_bytes()
    with pytest.raises(InputError, match=r"begun with data\.fingerprint"):
        purecert.certify(demo_plan, images + np.uint8(1), out=tmp_path / "run", resume=True, **_NUMBERS)
    assert (tmp_path / "run" / "images.npz").read_bytes() == before
    with pytest.raises(InputError, match="a run is there"):
        purecert.certify(demo_plan, images, out=tmp_path / "run", **_NUMBERS)
    assert purecert.certify(demo_plan, images, out=tmp_path / "run", resume=True, **_NUMBERS).indices == (0, 1)
    purecert.certify(demo_plan, images[:1], out=tmp_path / "run", force=True, **_NUMBERS)
    engine("verify", tmp_path / "run", "--share", "1").expect(0)
    assert purecert.read_run(tmp_path / "run").indices == (0,)


@pytest.mark.slow
def test_a_saved_run_of_an_array_is_verified_after_the_result_is_gone(demo_plan: Path, tmp_path: Path) -> None:
    images = load_dataset("digits:test[:2]").images
    done = purecert.certify(demo_plan, images, **_NUMBERS)
    temporary = done.directory
    done.save(tmp_path / "saved")
    del done
    assert not temporary.exists()
    engine("verify", tmp_path / "saved", "--share", "1").expect(0)


def test_a_refused_call_leaves_nothing_and_blocks_nothing(demo_plan: Path, tmp_path: Path) -> None:
    images = load_dataset("digits:test[:2]").images
    with pytest.raises(InputError, match="to certify anything"):
        purecert.certify(demo_plan, images, sigma=_SIGMA, n=3, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    purecert.certify(demo_plan, images + np.uint8(1), out=tmp_path / "run", **_NUMBERS)


@pytest.mark.slow
def test_numbers_of_numpy_are_numbers_and_a_float_is_no_count(demo_plan: Path, run: purecert.RunResult) -> None:
    given = {
        "sigma": np.float32(_SIGMA),
        "n": np.int64(_N),
        "n0": np.int16(20),
        "seed": np.uint8(3),
        "threads": np.int8(1),
    }
    assert purecert.certify(demo_plan, "digits:test[:6]", **given).outcomes == run.outcomes
    assert run.certified_accuracy(np.linspace(0, 1, 5)) == run.certified_accuracy([0, 0.25, 0.5, 0.75, 1])
    program = (
        "import sys, purecert\n"
        "assert purecert.StopSpec(rule='radii', radii=[0, 1]) == purecert.StopSpec(rule='radii', radii=(0.0, 1.0))\n"
        "wrongs = {'n': 1e5}, {'sigma': 'a'}, {'seed': 0.5}, {'threads': 0}, {'n': -1}, {'n0': 0}, {'batch': 10**20}\n"
        "for wrong in wrongs:\n"
        "    try: purecert.certify(sys.argv[1], 'digits:test[:1]', **({'sigma': 0.5, 'n': 100} | wrong))\n"
        "    except purecert.PurecertError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program, demo_plan], capture_output=True, text=True, check=True)
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == [
        "expected n as an integer",
        "expected sigma as a number",
        "expected seed as an integer",
        "expected threads of at least 1 and at most 1024",
        "expected n in [1",
        "expected n0 in [1",
        "expected batch of at least 1 and at most 65536",
    ]


@pytest.mark.slow
def test_a_run_that_cannot_be_recorded_is_refused_before_the_one_that_is_there_is_replaced(
    demo_plan: Path, tmp_path: Path
) -> None:
    images = load_dataset("digits:test[:2]").images
    purecert.certify(demo_plan, images, out=tmp_path / "run", **_NUMBERS)
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    program = (
        "import sys, purecert\n"
        "for data, wrong in (('digits:test[:2]', {'against_label': 1}), (f'npz:{sys.argv[2]}/images.npz', {})):\n"
        "    try: purecert.certify(sys.argv[1], data, sigma=0.5, n=100, out=sys.argv[2], force=True, **wrong)\n"
        "    except purecert.PurecertError as error: print(error)"
    )
    command = [sys.executable, "-c", program, demo_plan, tmp_path / "run"]
    first, second = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "against_label: expected a value of type bool, found 1" in first
    assert "the images lie in the run that force=True would delete; copy them first" in second
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_without_pytorch_the_name_that_needs_it_says_so() -> None:
    program = "import sys; sys.modules['torch'] = None; import purecert; purecert.export_module"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "needs the package torch, which is not installed; run: pip install 'purecert[export]'" in done.stderr


def test_every_public_name_is_there_and_documented() -> None:
    for name in purecert.__all__:
        assert getattr(purecert, name).__doc__, name
    assert set(purecert.__all__) <= set(dir(purecert))
    with pytest.raises(AttributeError, match="no attribute 'certfy'"):
        _ = purecert.certfy

"""benchmarks/gpu.sh on a machine without a GPU: its words and its exit codes.

A dry run of every step is a stage of .ci/run.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]
_SCRIPT = _ROOT / "benchmarks" / "gpu.sh"
# What the script reads: a test says it, and takes none of it over from whoever runs the tests.
_OWN = ("PYTHON", "RESULTS", "WORK", "WHEELS", "BATCHES", "BATCH", "COMMIT", "PURECERT_DRY_RUN", "PURECERT_CUDA")
_OWN += ("BACKENDS", "LIMIT", "CUDA_HOME", "CUDA_PATH", "CXX")
_INHERITED = {name: value for name, value in os.environ.items() if name not in _OWN}


def _script(*steps: str, script: Path = _SCRIPT, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run the script with this Python; ``variables`` are its environment's."""
    environment = _INHERITED | {"PYTHON": sys.executable, "WHEELS": "/nowhere"}
    environment |= {name: str(value) for name, value in variables.items()}
    return subprocess.run([script, *steps], env=environment, capture_output=True, text=True, check=False)


def _program(*arguments: str, cwd: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run this Python where it finds the programs of benchmarks/gpu, and the purecert that is installed."""
    environment = _INHERITED | {"PYTHONPATH": os.pathsep.join((str(cwd), str(_ROOT / "benchmarks")))}
    environment |= {name: str(value) for name, value in variables.items()}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


def _places(folder: Path) -> dict[str, object]:
    """Return what gpu.sh tells its programs, for one that is called without it."""
    return {"RESULTS": folder / "results", "WORK": folder, "COMMIT": "unknown", "BATCHES": 8, "BATCH": 8}


@pytest.mark.parametrize("arguments", [["nonsense"], ["build", "nonsense"], [""]])
def test_an_unknown_step_is_refused_in_one_line_before_any_runs(arguments: list[str], tmp_path: Path) -> None:
    done = _script(*arguments, WORK=tmp_path / "work")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "expected steps out of: check-image build" in line
    assert line.endswith(f"got '{arguments[-1]}'")
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PURECERT_DRY_RUN": "yes"}, "expected PURECERT_DRY_RUN to be 0 or 1, got yes"),
        ({"PYTHON": "/nowhere/python"}, "expected Python at PYTHON=/nowhere/python, found none"),
        (
            {"PURECERT_DRY_RUN": "1", "RESULTS": "benchmarks/results/gpu"},
            "expected RESULTS outside benchmarks/results in a dry run",
        ),
    ],
)
def test_a_bad_variable_is_refused_in_one_line(variables: dict[str, str], words: str, tmp_path: Path) -> None:
    done = _script("build", **{"WORK": tmp_path, **variables})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert words in line


@pytest.mark.nightly
def test_a_step_whose_need_is_missing_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    done = _script("noise-check", "check-image", PURECERT_DRY_RUN=1, WORK=tmp_path)
    assert done.returncode == 1
    failed, ended = done.stdout.split("== how the steps ended\n")[1].splitlines()
    assert failed == "noise-check: FAILED, it needs the step build, which has not been done"
    assert ended.startswith("check-image: done in ")


def test_a_backend_that_cannot_be_used_is_skipped_with_the_reason_and_fails_nothing(tmp_path: Path) -> None:
    plan = tmp_path / "plans" / "vit" / "plan" / "plan.json"
    plan.parent.mkdir(parents=True)
    plan.touch()  # the step that makes it counts as done; nothing reads it
    variables = {"PURECERT_DRY_RUN": 1, "WORK": tmp_path, "CUDA_VISIBLE_DEVICES": "", "COMMIT": "0123"}
    done = _script("backend-tensorrt", "summary", **variables)
    assert done.returncode == 1  # of the summary alone, which needs a build
    record = json.loads((tmp_path / "results" / "backend-tensorrt.json").read_bytes())
    skipped, _ = done.stdout.split("== how the steps ended\n")[1].splitlines()
    assert skipped == f"backend-tensorrt: skipped, {record['skipped']}"
    assert re.search("NVIDIA|GPU|TensorRT", record["skipped"])
    assert f"tensorrt cannot be used: {record['skipped']}\nto mend: {record['remedy']}\n" in done.stdout
    assert "error" not in done.stderr
    summary = _program("-m", "gpu.summary", cwd=tmp_path, **(_places(tmp_path) | variables))
    assert f"skipped: backend-tensorrt: {record['skipped']}" in summary.stdout.splitlines()


def test_a_step_that_ends_as_skipped_without_a_record_of_it_failed(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 77\n")
    python.chmod(0o755)
    done = _script("check-image", PURECERT_DRY_RUN=1, PYTHON=python, WORK=tmp_path / "work")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith("check-image: FAILED with exit code 77 after ")


@pytest.mark.nightly
def test_the_doctors_answers_are_recorded_and_an_unusable_backend_fails_nothing(tmp_path: Path) -> None:
    variables = {"PURECERT_DRY_RUN": 1, "CUDA_VISIBLE_DEVICES": "", **_places(tmp_path)}
    done = _program("-m", "gpu.doctor", cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "results" / "doctor.json").read_bytes())
    assert (record["step"], record["dry_run"]) == ("doctor", True)
    usable = {one["backend"]: one["usable"] for one in record["report"]["backends"]}
    assert {name: usable[name] for name in ("torch-cuda", "tensorrt", "tensorrt-rtx", "onnxruntime-cuda")} == {
        "torch-cuda": False,
        "tensorrt": False,
        "tensorrt-rtx": False,
        "onnxruntime-cuda": False,
    }
    for name, answer in usable.items():
        assert f"| {name} | {'yes' if answer else 'no'} | " in done.stdout


@pytest.mark.nightly
def test_packages_of_other_backends_are_listed_and_never_missed(tmp_path: Path) -> None:
    for name, package in (("pycuda", "pycuda"), ("onnxruntime", "onnxruntime")):
        (tmp_path / name).mkdir()
        installed = tmp_path / f"{package}-1.2.dist-info"
        installed.mkdir()
        (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
        (installed / "top_level.txt").write_text(f"{name}\n")
    done = _program("-S", "-m", "gpu.check_image", cwd=tmp_path, PURECERT_DRY_RUN=1)  # -S: of these, nothing else
    states = {row[1].strip(): row for line in done.stdout.splitlines() if len(row := line.split("|")) > 4}
    assert (states["pycuda"][2].strip(), states["pycuda"][4].strip()) == ("1.2", "there")
    assert states["tensorrt_rtx_bindings"][4].strip() == "missing: backend-tensorrt-rtx will be skipped"
    runtime = states["onnxruntime-gpu"]  # the other build of that module is not it
    assert runtime[2].strip() == "-"
    assert runtime[4].strip() == "missing: backend-onnxruntime-cuda, backend-onnxruntime-tensorrt will be skipped"
    assert not re.search("tensorrt|pycuda|onnxruntime", done.stderr)


def test_missing_packages_are_named_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    done = _program("-S", "-m", "gpu.check_image", "run", cwd=tmp_path)  # -S: a Python without any packages
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("missing: torch numpy scipy click mpmath jaxtyping; where there is a network, run: ")
    assert "python3 -m pip download --no-deps --only-binary=:all:" in line
    assert line.endswith(" torch numpy scipy click mpmath jaxtyping")


@pytest.mark.nightly
def test_a_package_that_lacks_a_need_of_its_own_is_found_by_importing_it(tmp_path: Path) -> None:
    (tmp_path / "jaxtyping.py").write_text("import no_such_need.part\n")
    done = _program("-m", "gpu.check_image", cwd=tmp_path, PURECERT_DRY_RUN=1)
    assert done.returncode == 1
    assert "| run | no-such-need is missing |" in done.stdout
    assert done.stderr.startswith("missing: no-such-need; ")


@pytest.mark.nightly
def test_missing_tools_are_named_and_only_a_dry_run_goes_on_without_them(tmp_path: Path) -> None:
    for dry_run in (0, 1):
        done = _program("-m", "gpu.check_image", cwd=tmp_path, PURECERT_DRY_RUN=dry_run, PATH=tmp_path, CXX="no-c++")
        line = done.stderr.splitlines()[-1]
        assert line.startswith("missing: ")
        assert "cmake, make or ninja, no-c++ (a C++ compiler)" in line
        assert "| cmake | build | missing |" in done.stdout
        assert done.returncode == (not dry_run or "where there is a network" in done.stderr)  # a package may lack too


@pytest.mark.parametrize(("traps_term", "code"), [(False, 124), (True, 137)])
def test_a_step_that_outlasts_its_time_is_told_as_that(traps_term: bool, code: int, tmp_path: Path) -> None:
    script, python = tmp_path / "benchmarks" / "gpu.sh", tmp_path / "python"
    script.parent.mkdir()
    text, found = re.subn(r"^(limit=.*) kill_after=10 ", r"\1 kill_after=1 ", _SCRIPT.read_text(), flags=re.MULTILINE)
    assert found == 1
    script.write_text(text)
    trap = "trap '' TERM\n" if traps_term else ""
    python.write_text(f"#!/bin/sh\n{trap}while :; do sleep 0.1; done\n")
    script.chmod(0o755)
    python.chmod(0o755)
    done = _script("check-image", script=script, PURECERT_DRY_RUN=1, PYTHON=python, WORK=tmp_path / "work", LIMIT=1)
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"check-image: FAILED with exit code {code} after ")
    assert last.endswith(" s, its time was up")


def test_a_toolkit_whose_place_nvcc_does_not_tell_is_named_in_one_line(tmp_path: Path) -> None:
    nvcc = tmp_path / "cuda" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text("#!/bin/sh\necho nothing of use >&2\n")
    nvcc.chmod(0o755)
    done = _script(
        "noise-check", PURECERT_DRY_RUN=0, CUDA_PATH=tmp_path / "cuda", WORK=tmp_path, RESULTS=tmp_path / "r"
    )
    (line,) = done.stderr.splitlines()
    assert line == f"gpu.sh: expected 'TOP=' and a folder from '{nvcc} -dryrun', got ''; set CUDA_HOME to the toolkit"


def test_a_published_value_that_is_not_drawn_fails_the_noise_check(tmp_path: Path) -> None:
    (tmp_path / "tests" / "vectors").mkdir(parents=True)
    content = (_ROOT / "tests" / "vectors" / "noise_v1.csv").read_text()
    lines = content.splitlines()
    address, q = lines[1000].rsplit(",", 1)
    lines[1000] = f"{address},{int(q) + 1}"
    (tmp_path / "tests" / "vectors" / "noise_v1.csv").write_text("\n".join(lines) + "\n")
    done = _program("-m", "gpu.noise_check", cwd=tmp_path, PURECERT_DRY_RUN=1, **_places(tmp_path))
    assert done.returncode == 4
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: expected the vectors of sigma {float(address.split(',')[4])}")
    assert not (tmp_path / "results").exists()

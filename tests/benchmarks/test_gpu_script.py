"""benchmarks/gpu.sh on a machine without a GPU: its words, its exit codes, and a dry run of its cheap steps."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_SCRIPT = _ROOT / "benchmarks" / "gpu.sh"


def _script(*steps: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run the script with this Python; ``variables`` are its environment's."""
    environment = os.environ | {"PYTHON": sys.executable} | {name: str(value) for name, value in variables.items()}
    return subprocess.run([_SCRIPT, *steps], env=environment, capture_output=True, text=True, check=False)


def _program(*arguments: str, cwd: Path, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run this Python where it finds the programs of benchmarks/gpu, and the purecert that is installed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(cwd), str(_ROOT / "benchmarks")))}
    environment |= {name: str(value) for name, value in variables.items()}
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False)


def test_the_list_names_every_step_with_what_it_does() -> None:
    done = _script("--list")
    steps = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert done.returncode == 0
    assert {"check-image", "build", "noise-check", "sanitize", "noise-speed", "matrix-rate", "agreement"} <= set(steps)
    for plan in ("vit", "wrn"):
        assert {f"{what}-{plan}" for what in ("plan", "compile", "bench", "certify", "outside", "profile")} <= set(
            steps
        )


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


def test_a_step_whose_need_is_missing_fails_and_the_next_one_runs(tmp_path: Path) -> None:
    done = _script("noise-check", "check-image", PURECERT_DRY_RUN=1, WORK=tmp_path)
    assert done.returncode == 1
    failed, ended = done.stdout.split("== summary\n")[1].splitlines()
    assert failed == "noise-check: FAILED, it needs the step build, which has not been done"
    assert ended.startswith("check-image: done in ")


def test_missing_packages_are_named_with_the_command_that_fetches_them(tmp_path: Path) -> None:
    done = _program("-S", "-m", "gpu.check_image", "run", cwd=tmp_path)  # -S: a Python without any packages
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("missing: torch numpy scipy click mpmath jaxtyping; where there is a network, run: ")
    assert "python3 -m pip download --no-deps --only-binary=:all:" in line
    assert line.endswith(" torch numpy scipy click mpmath jaxtyping")


def test_a_package_that_lacks_a_need_of_its_own_is_found_by_importing_it(tmp_path: Path) -> None:
    (tmp_path / "jaxtyping.py").write_text("import no_such_need.part\n")
    done = _program("-m", "gpu.check_image", cwd=tmp_path)
    assert done.returncode == 1
    assert "| run | no-such-need is missing |" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("missing: no-such-need; ")


def test_a_published_value_that_is_not_drawn_fails_the_noise_check(tmp_path: Path) -> None:
    (tmp_path / "tests" / "vectors").mkdir(parents=True)
    content = (_ROOT / "tests" / "vectors" / "noise_v1.csv").read_text()
    lines = content.splitlines()
    address, q = lines[1000].rsplit(",", 1)
    lines[1000] = f"{address},{int(q) + 1}"
    (tmp_path / "tests" / "vectors" / "noise_v1.csv").write_text("\n".join(lines) + "\n")
    places = {"RESULTS": tmp_path / "results", "WORK": tmp_path, "COMMIT": "unknown"}
    done = _program("-m", "gpu.noise_check", cwd=tmp_path, PURECERT_DRY_RUN=1, BATCHES=8, BATCH=8, **places)
    assert done.returncode == 4
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: expected the vectors of sigma {float(address.split(',')[4])}")
    assert not (tmp_path / "results").exists()


@pytest.mark.slow
def test_a_dry_run_builds_and_checks_and_leaves_labelled_records(tmp_path: Path) -> None:
    variables = {"PURECERT_DRY_RUN": 1, "PURECERT_CUDA": "off", "WORK": tmp_path, "COMMIT": "0123"}
    done = _script("check-image", "build", "noise-check", "matrix-rate", "noise-speed", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tmp_path}/lib/purecert: the host's kernels, none for CUDA" in done.stdout
    records = {path.stem: json.loads(path.read_bytes()) for path in (tmp_path / "results").glob("*.json")}
    assert set(records) == {"noise-check", "matrix-rate", "noise-speed"}
    for step, record in records.items():
        assert (record["dry_run"], record["command"]) == (True, f"benchmarks/gpu.sh {step}")
        assert {"commit", "hardware", "versions"} <= set(record)
    assert records["noise-check"]["equal"]["published_vectors"] == 1554
    assert records["noise-check"]["equal"]["draws_as_on_the_cpu"] >= 10**6

"""The backend torch-compiled from the command line: compiled once, certified, verified, resumed."""

import json
import shutil
from pathlib import Path

import pytest

from purecert.engine.files.canonical import sha256_hex
from support.commands import engine

pytestmark = pytest.mark.slow

_RUN = ("--data", "digits:test[:6]", "--sigma", "0.5", "--n0", "20", "--n", "400", "--batch", "32", "--threads", "1")
_RUN += ("--probe-rows", "32")
_COMPILED = ("--backend", "torch-compiled", "--seed", "17")


@pytest.fixture(scope="module")
def run(demo_plan_fp16: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("compiled") / "run"
    engine("certify", "--plan", demo_plan_fp16, *_RUN, *_COMPILED, "--out", out).expect(0)
    return out


def test_a_run_is_tied_to_the_compiled_file(run: Path, demo_plan_fp16: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    backend = record["backend"]
    compiled = (demo_plan_fp16 / "cache").glob("sigma-0.5-cpu-*.pt2")
    assert backend["graph"] in [sha256_hex(path.read_bytes()) for path in compiled]
    assert (backend["name"], backend["executed_precision"]) == ("torch-compiled", "fp16")
    assert not record["gated"]  # the export gate ran the program uncompiled
    assert "replayed 6 images on the engine that" in engine("verify", run, "--share", "1").expect(0).out


@pytest.mark.nightly
def test_a_resumed_run_has_the_same_bytes(run: Path, demo_plan_fp16: Path, tmp_path: Path) -> None:
    cut = Path(shutil.copytree(run, tmp_path / "cut"))
    whole = (run / "certificates.jsonl").read_bytes()
    (cut / "certificates.jsonl").write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    engine("certify", "--plan", demo_plan_fp16, *_RUN, *_COMPILED, "--out", cut, "--resume").expect(0)
    assert (cut / "certificates.jsonl").read_bytes() == whole


@pytest.mark.nightly
def test_certificates_agree_with_the_program_uncompiled(run: Path, demo_plan_fp16: Path, tmp_path: Path) -> None:
    eager = ("--backend", "torch", "--seed", "17", "--out", tmp_path / "eager")
    engine("certify", "--plan", demo_plan_fp16, *_RUN, *eager).expect(0)
    one, other = (
        [json.loads(line) for line in (folder / "certificates.jsonl").read_text().splitlines()]
        for folder in (run, tmp_path / "eager")
    )
    assert len(one) == 6
    for compiled, uncompiled in zip(one, other, strict=True):
        assert compiled["outcome"] == uncompiled["outcome"]
        for mine, theirs in zip(compiled["counts"], uncompiled["counts"], strict=True):
            moved = sum(abs(mine.get(name, 0) - theirs.get(name, 0)) for name in mine.keys() | theirs.keys())
            assert moved <= 2 * 0.005 * 400


def test_a_compiler_whose_programs_would_crash_is_refused(
    demo_plan_fp16: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = tmp_path / "c++"
    compiler.write_text('#!/bin/sh\nexec g++ "$@" -static-libstdc++\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    asked = ("--backend", "torch-compiled", "--seed", "17", "--batch", "31", "--out", tmp_path / "run")
    done = engine("certify", "--plan", demo_plan_fp16, *_RUN, *asked)
    assert "puts a copy of its runtime into every library" in done.expect(3).err

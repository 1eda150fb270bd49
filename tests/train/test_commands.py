"""engine-train writes a model file, or one line that says why not."""

from pathlib import Path
from time import perf_counter

import pytest

from purecert.train.models.checkpoints import load_model
from support.commands import engine


@pytest.mark.slow
def test_a_trial_run_ends_at_its_time_goes_on_and_writes_a_model(tmp_path: Path) -> None:
    output, work = tmp_path / "model.pt", tmp_path / "work"
    command = ["digits", "-o", output, "--steps-scale", "0.0005", "--seed", "3", "--work", work, "--processes", "1"]
    paused = engine("train", *command, "--minutes", "1e-9").expect(0)
    assert "purifier: the time is up, the state after 1 steps is in" in paused.err
    assert "; go on with: engine-train digits -o" in paused.err
    assert (paused.out, output.exists()) == ("", False)
    ended = engine("train", *command).expect(0)
    assert ended.out == f"{output}\n"
    assert "purifier goes on at 1/2" in ended.err
    assert "purifier 2/2 loss" in ended.err
    assert "classifier 1/1 loss" in ended.err
    model = load_model(output)
    assert (model.data, model.input_shape, model.classes) == ("digits:train", (1, 8, 8), 10)
    assert "--seed 3" in model.sources[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["letters", "-o", "new.pt"], "No such command 'letters'"),
        (["digits"], "Missing option '-o'"),
        (["digits", "-o", "old.pt"], "old.pt: exists already; choose another name or pass --force"),
        (["digits", "-o", "nowhere/new.pt"], "expected a file name in a folder that exists"),
        (["digits", "-o", "new.pt", "--steps-scale", "0"], "--steps-scale"),
        (["digits", "-o", "new.pt", "--threads", "0"], "--threads"),
        (["digits", "-o", "new.pt", "--minutes", "1"], "--minutes needs --work"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.pt").write_text("kept")
    ended = engine("train", *arguments).expect(2)
    assert words in ended.err
    assert ended.err.count("\n") == 1
    assert ended.out == ""
    assert Path("old.pt").read_text() == "kept"
    assert not Path("new.pt").exists()


def test_help_answers_without_the_heavy_imports() -> None:
    start = perf_counter()
    ended = engine("train", "--help").expect(0)
    assert perf_counter() - start < 1.0  # torch alone takes longer
    assert "digits" in ended.out

"""engine-report with a question, as a user runs it: what it says it is not, what it writes, and what it refuses."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from purecert.engine.commands.report import report_command
from purecert.engine.errors import InputError
from purecert.engine.procedures.outcomes import Abstention
from purecert.engine.questions import question
from purecert.engine.questions.answer import answer
from purecert.engine.questions.costs import Costs
from purecert.engine.questions.question import Question
from purecert.engine.records.lines import Line
from purecert.engine.records.run import Run, read_run
from support.commands import Ended
from support.records import BACKEND, DATA, RUN, with_spec
from support.simulated_runs import write_simulated_run
from support.written_runs import written_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("fixed", "radii", "tolerance", "votes", "answer"):
        write_simulated_run(folder / name, name)
    (folder / "costs.json").write_text(json.dumps([[float(i != j) for j in range(10)] for i in range(10)]))
    (folder / "small.csv").write_text("0,1\n1,0\n")
    return folder


@pytest.fixture
def report(runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.chdir(runs)

    def run(*arguments: str | Path) -> Ended:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            report_command.main([os.fspath(part) for part in arguments], prog_name="engine-report")
        said = capsys.readouterr()
        assert isinstance(end.value.code, int)
        return Ended(code=end.value.code, out=said.out, err=said.err)

    return run


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--ask-alpha", "0.01"], "certificates"),
        (["--ask-n", "100"], "certificates"),
        (["--two-sided"], "two-sided"),
        (["--top-k", "3", "--ask-alpha", "0.0001", "--ask-n", "200"], "top-3"),
        (["--costs", "costs.json"], "costs"),
    ],
)
def test_an_answer_says_what_it_is_and_is_not(report: Any, options: list[str], name: str) -> None:
    text = report("fixed", *options).expect(0).out
    assert text.startswith(f"QUESTION put to the finished run fixed: {name} at alpha ")
    for words in ("no result of the run itself", "one answer to one question", "seed given", "docs/questions.md"):
        assert words in text
    assert ("chosen at random by seed" in text) == ("--ask-n" in options)
    (line,) = report("fixed", *options, "--json", "--radii", "0,0.3").expect(0).out.splitlines()
    ((heading, value),) = json.loads(line).items()
    assert heading == "purecert_question"
    assert value["schema"] == "purecert.answer/1"
    assert "no result of the run itself" in value["is_not"]
    assert [point["radius"] for point in value["answered_at"]] == [0.0, 0.3]
    assert len(value["claims"]) == sum(value["distribution"]["radius"]["counts"]) == 6
    # None of the names by which a run's own results are found.
    assert not {"certified_at", "certified", "outcome", "predicted", "correct"} & {*value, *value["claims"][0]}


def test_an_answer_is_written_beside_no_runs_files_and_replaces_nothing(
    report: Any, runs: Path, tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in (runs / "fixed").iterdir()}
    out = tmp_path / "out"
    said = report("fixed", "--two-sided", "--out", out).expect(0)
    assert sorted(path.name for path in out.iterdir()) == [
        f"question-two-sided.{end}" for end in ("json", "png", "svg", "txt")
    ]
    assert (out / "question-two-sided.txt").read_text() == said.out
    assert json.loads((out / "question-two-sided.json").read_text())["purecert_question"]["kind"] == "two-sided"
    assert "a file is there" in report("fixed", "--two-sided", "--out", out).expect(2).err
    report("fixed", "--two-sided", "--out", out, "--force").expect(0)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "question-top-2.json").write_text("theirs")
    assert "a file is there" in report("fixed", "--top-k", "2", "--out", tmp_path / "other").expect(2).err
    assert len(list((tmp_path / "other").iterdir())) == 1
    assert "found a run's own" in report("fixed", "--two-sided", "--out", "fixed", "--force").expect(2).err
    assert {path: path.read_bytes() for path in (runs / "fixed").iterdir()} == before


def test_a_report_draws_the_distribution_beside_the_curve_and_no_answer(report: Any, tmp_path: Path) -> None:
    stems = ("certified-accuracy", "distribution")
    report("fixed", "radii", "--out", tmp_path / "out").expect(0)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"{s}.{e}" for s in stems for e in ("png", "svg")
    ]
    for stem in stems:  # nothing is drawn where one of the files would be replaced
        (tmp_path / stem).mkdir()
        (tmp_path / stem / f"{stem}.svg").write_text("theirs")
        report("fixed", "--out", tmp_path / stem).expect(2)
        assert len(list((tmp_path / stem).iterdir())) == 1


def test_what_cannot_be_asked_is_refused_in_one_line(report: Any) -> None:
    early, votes = "stopped early, which biases their counts", "it predicts, and its votes bound no probability"
    for arguments, words in (
        (["radii", "--two-sided"], early),
        (["tolerance", "--ask-alpha", "0.01"], early),
        (["radii", "--ask-n", "10"], early),
        (["votes", "--top-k", "2"], votes),
        (["answer", "--costs", "costs.json"], votes),
        (["fixed", "--ask-n", "301"], "draws in [1, 300], the run's, got 301"),
        (["fixed", "--ask-n", "0"], "draws in [1, 300]"),
        (["fixed", "--ask-n", "300"], "another alpha or fewer draws"),
        (["fixed", "--ask-alpha", "0.001"], "another alpha or fewer draws"),
        (["fixed", "--ask-alpha", "0.5"], "alpha in [1e-90, 0.5)"),
        (["fixed", "--ask-alpha", "nan"], "alpha in [1e-90, 0.5)"),
        (["fixed", "--top-k", "0"], "--top-k: in [1, 9] for 10 classes, got 0"),
        (["fixed", "--top-k", "10"], "--top-k: in [1, 9]"),
        (["fixed", "--costs", "small.csv"], "--costs: a matrix of 10 x 10"),
        (["fixed", "--costs", "fixed"], "expected a file with a cost matrix"),
        (["fixed", "--two-sided", "--top-k", "2"], "expected one question, got --two-sided and --top-k"),
        (["fixed", "fixed", "--two-sided"], "expected one RUN"),
        (["fixed", "--two-sided", "--bonferroni"], "--bonferroni goes with reports of runs"),
        (["fixed", "--two-sided", "--best-sigma"], "--best-sigma goes with reports of runs"),
        (["fixed", "--two-sided", "--radii", "-1"], "radii of at least 0"),
        (["fixed", "--two-sided", "--rho", "2"], "--rho"),
    ):
        ended = report(*arguments).expect(2)
        assert words in ended.err, arguments
        assert (ended.out, ended.err.count("\n")) == ("", 1)


def _run(**changes: Any) -> Run:
    """Return a run under static placement, of two batches of 64."""
    backend = replace(BACKEND, placement="static")
    record = with_spec(
        replace(RUN, backend=backend, data=replace(DATA, images=1)), n_select=64, n_estimate=128, step=64
    )
    line = Line(index=0, label=0, outcome=Abstention(), counts=({"0": 64}, {"0": 120, "1": 8}))
    return written_run(Path("run"), [line], replace(record, **changes))


def _ask(run: Run, **asked: Any) -> float:
    return answer(run, Question(**asked), (0.0,)).claims[0].radius


def test_a_static_run_answers_at_whole_batches_and_is_never_thinned() -> None:
    run = _run()
    assert _ask(run, kind="two-sided", alpha=0.25) > _ask(run, kind="two-sided") > 0
    for n in (64, 100):
        with pytest.raises(InputError, match="would not hold every place equally often"):
            _ask(run, kind="certificates", n=n)
    with pytest.raises(InputError, match=r"alpha of at most 0\.25 where placement is static"):
        _ask(run, kind="two-sided", alpha=0.26)
    older = replace(run, record=with_spec(run.record, step=1))  # as before schema 5: its draws may end inside a batch
    assert _ask(older, kind="two-sided") > 0
    with pytest.raises(InputError, match=r"at alpha 0\.26 its rows' placement leaves nothing"):
        _ask(older, kind="two-sided", alpha=0.26)
    with pytest.raises(InputError, match="found multiples of 1; run it again"):
        _ask(replace(run, record=with_spec(run.record, step=1, alpha=0.3)), kind="two-sided", alpha=0.01)


def test_a_run_without_images_or_labels_or_of_a_plan_that_is_not_known_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = _run()
    with pytest.raises(InputError, match="no image is finished"):
        _ask(replace(run, lines=()), kind="two-sided")
    unlabelled = replace(run, lines=(replace(run.lines[0], label=None),))
    assert _ask(unlabelled, kind="two-sided") == _ask(run, kind="two-sided")
    with pytest.raises(InputError, match="no labels, so no mistake has a cost"):
        _ask(unlabelled, kind="costs", costs=Costs(costly=(frozenset(),) * 10, digest=""))
    with pytest.raises(InputError, match="with a question of that kind"):
        Question(kind="two-sided", top_k=2)
    monkeypatch.setattr(question, "_KNOWN_OF_PLAN", question._KNOWN_OF_PLAN - {"step"})
    with pytest.raises(InputError, match="its sampling plan has step"):
        _ask(run, kind="two-sided")


def test_a_run_of_more_draws_than_can_be_chosen_from_is_not_thinned() -> None:
    many = with_spec(replace(RUN, data=replace(DATA, images=1)), n_estimate=2 * 10**9)
    line = Line(index=0, label=0, outcome=Abstention(), counts=({"0": 100}, {"0": 2 * 10**9}))
    run = written_run(Path("run"), [line], many)
    assert _ask(run, kind="two-sided") > 0
    with pytest.raises(InputError, match="more than the 999999999 that can be chosen from"):
        _ask(run, kind="certificates", n=1000)


def test_numbers_of_an_answer_are_those_of_its_claims(runs: Path) -> None:
    found = answer(read_run(runs / "fixed"), Question(kind="two-sided"), (0.0, 0.5))
    radii = [claim.radius for claim in found.claims if claim.is_right and claim.label == claim.spoken_of]
    assert found.answered_at[0].images == sum(radius > 0 for radius in radii)
    assert found.answered_at[1].images == sum(radius >= 0.5 for radius in radii)
    assert found.average_radius == pytest.approx(sum(radii) / 6)
    assert (found.alpha, found.n, found.run_n, found.thinning_seed) == (1e-3, 300, 300, None)
    thin = answer(read_run(runs / "fixed"), Question(kind="certificates", n=100), (0.0,))
    assert (thin.n, thin.run_n, len(thin.thinning_seed or "")) == (100, 300, 64)
    # Image 0 shows its class in every draw: alpha^(1/100) where 100 are kept.
    assert thin.claims[0].p_lower == pytest.approx(1e-3 ** (1 / 100), rel=1e-9)

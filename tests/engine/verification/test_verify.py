"""A verification finds what was changed after the run."""

import json
import shutil
from pathlib import Path

import pytest

from purecert.engine.noise.inputs import total_variation
from purecert.engine.statistics.bounds import certified_radius, clopper_pearson_lower, subtract_budget
from support.commands import engine
from support.forgery import lines_of, reseal, seal
from support.verifying import verify


@pytest.fixture(scope="module")
def finished(demo_plan: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("verify") / "run"
    data = ["--data", "digits:test[:8]", "--sigma", "0.5", "--n", "500", "--threads", "1"]
    data += ["--probe-rows", "256"]
    engine("certify", "--plan", demo_plan, "--out", run, *data).expect(0)
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def _forge(run: Path, image: int, **changes: object) -> None:
    """Change fields of one line and give it a right checksum."""
    rows = lines_of(run)
    rows[image] |= changes
    seal(run, rows)


def _row(run: Path, image: int) -> dict[str, object]:
    return dict(json.loads((run / "certificates.jsonl").read_text().splitlines()[image]))


def test_an_honest_run_is_verified_and_replays_exactly(run: Path) -> None:
    ended = verify(run, "--share", "1", "--json").expect(0)
    result = json.loads(ended.out)
    assert result["verified"]
    assert result["exact"]
    assert (result["images"], result["replayed"], result["differing_labels"]) == (8, 8, 0)


def test_a_larger_radius_is_found(run: Path) -> None:
    image = next(i for i in range(8) if _row(run, i)["outcome"] == "certified")
    _forge(run, image, radius=float(_row(run, image)["radius"]) * (1 + 1e-9))  # type: ignore[arg-type]  # parsed JSON
    assert "its counts give" in verify(run, "--share", "0").expect(4).out


def test_a_changed_vote_is_found_by_the_replay(run: Path) -> None:
    image = next(i for i in range(8) if _row(run, i)["outcome"] == "abstained" or len(_row(run, i)["counts"][1]) > 1)  # type: ignore[index]  # parsed JSON
    counts = _row(run, image)["counts"]
    keys = sorted(counts[1])  # type: ignore[index]  # parsed JSON
    counts[1][keys[0]] += 1  # type: ignore[index]  # parsed JSON
    counts[1][keys[1]] -= 1  # type: ignore[index]  # parsed JSON
    _forge(run, image, counts=[phase | {} for phase in counts])  # type: ignore[attr-defined]  # parsed JSON
    ended = verify(run, "--share", "1")
    assert ended.code == 4


def test_lost_images_are_found(run: Path) -> None:
    path = run / "certificates.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert "incomplete: 7 of 8 images" in verify(run).expect(4).out


def test_rows_beyond_the_data_are_found(run: Path) -> None:
    rows = lines_of(run)
    certified = next(row for row in rows if row["outcome"] == "certified") | {"radius": 100.0}
    reseal(run, rows + [certified] * 8, data={"images": 16})
    assert "plan and data make it" in verify(run, "--share", "0").expect(4).out


def test_invented_votes_are_found_even_where_another_engine_is_claimed(run: Path) -> None:
    rows = lines_of(run)
    certified = next(row for row in rows if row["outcome"] == "certified")
    counts = [{str(certified["predicted"]): 100}, {str(certified["predicted"]): 500}]
    p_lower = float(subtract_budget(clopper_pearson_lower(500, 500, 1e-3), total_variation([64], 0.5)))
    claim = {"p_lower": p_lower, "radius": float(certified_radius(0.5, p_lower)), "counts": counts}
    forged = [row | claim | {"outcome": "certified", "predicted": certified["predicted"]} for row in rows]
    in_order = ("index", "label", "outcome", "predicted", "p_lower", "radius", "counts", "looks", "run")
    reseal(run, [{key: row[key] for key in in_order} for row in forged], backend={"hardware": "x86_64 Another"})
    ended = verify(run, "--share", "1").expect(4)
    assert "replayed labels differ" in ended.out
    assert "another engine" in ended.out


@pytest.mark.parametrize(
    "changes",
    [
        {"purifier": "better"},
        {"t": 99.0},
        {"parity_reduced": False},
        {"noise_elements": [63]},
        {"classes": 2},
        {"gated": False},
        {"data": {"name": "digits:train"}},
    ],
)
def test_a_run_record_that_plan_and_data_do_not_make_is_found(run: Path, changes: dict[str, object]) -> None:
    reseal(run, lines_of(run), **changes)
    assert "plan and data make it" in verify(run, "--share", "0").expect(4).out


def test_a_run_record_without_noise_is_refused(run: Path) -> None:
    reseal(run, lines_of(run), noise_elements=[])
    assert "expected noise elements in [1, " in verify(run, "--share", "0").expect(2).err


def test_a_line_break_in_the_run_record_forges_no_line_of_a_report(run: Path) -> None:
    reseal(run, lines_of(run), purifier="x\n- another run: verified")
    assert "printable text" in engine("report", run).expect(2).err


def test_an_edited_line_without_a_right_checksum_is_refused(run: Path) -> None:
    path = run / "certificates.jsonl"
    path.write_text(path.read_text().replace('"index":3', '"index":5', 1))
    assert "it was changed" in verify(run).expect(2).err


@pytest.mark.parametrize(("field", "value"), [("alpha", 0.01), ("sigma", 0.25), ("seed", 1), ("n_estimate", 400)])
def test_an_edited_run_record_is_refused(run: Path, field: str, value: float) -> None:
    record = json.loads((run / "run.json").read_text())
    part = record if field in record else record["spec"]
    part[field] = value
    (run / "run.json").write_text(json.dumps(record, indent=1) + "\n")
    assert "its run" in verify(run).expect(2).err


def test_another_plan_or_other_data_are_named(run: Path, demo_plan_fp16: Path) -> None:
    assert "run.json states plan = " in verify(run, "--plan", demo_plan_fp16).expect(4).out
    assert "fingerprint" in verify(run, "--data", "digits:test[1:9]").expect(4).out


def test_a_share_outside_its_range_is_refused(run: Path) -> None:
    assert "share in [0, 1]" in verify(run, "--share", "1.5").expect(2).err

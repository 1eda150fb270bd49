"""Cost matrices as files: what is read, and everything that is refused in one line."""

from pathlib import Path

import pytest

from purecert.engine.questions.costs import read_costs
from support.refusals import refuse_at_once


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("costs.json", "[[0, 1, 0.5], [0, 0, 0], [2, 0.0, 0]]"),
        ("costs.csv", "0,1,.5\r\n0,0,0\r\n2,0.0,0\r\n"),
        ("costs.csv", "0, 1, 1e-9\n\n0,0,0\n2,0,0"),
    ],
)
def test_the_costly_answers_are_those_above_0(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text, newline="")
    costs = read_costs(path)
    assert (costs.classes, costs.costly) == (3, (frozenset({1, 2}), frozenset(), frozenset({0})))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.json", "[[0, 1]]", "expected 1 columns"),
        ("a.json", "[[0, 1], [1]]", "found 1 in row 2"),
        ("a.json", "[[1, 1], [1, 0]]", "no cost of the right answer, found 1.0 for class 0"),
        ("a.json", "[[0, -1], [1, 0]]", "finite costs of at least 0, found -1"),
        ("a.json", "[[0, NaN], [1, 0]]", "finite costs"),
        ("a.json", "[[0, Infinity], [1, 0]]", "finite costs"),
        ("a.json", f"[[0, 1{'0' * 400}], [1, 0]]", "finite"),
        ("a.json", "[[0, true], [1, 0]]", "numbers only"),
        ("a.json", '[[0, "1"], [1, 0]]', "numbers only"),
        ("a.json", "[]", "list of lists"),
        ("a.json", '{"0": [0]}', "list of lists"),
        ("a.json", "[" * 100_000, "row per true class"),
        ("a.json", "nonsense", "row per true class"),
        ("a.csv", "", "found none"),
        ("a.csv", "0,1\n1,x", "row per true class"),
        ("a.csv", "true,cat\n1,0", "row per true class"),
        ("a.csv", '0,"1\n1,0', "row per true class"),
        ("a.csv", "0,\ud800", "row per true class"),
        ("a.txt", "0", "as .json or .csv"),
    ],
)
def test_what_is_no_cost_matrix_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert words in refuse_at_once(read_costs, path)


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "found none" in refuse_at_once(read_costs, tmp_path)
    assert "found none" in refuse_at_once(read_costs, tmp_path / "absent.json")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(64_000_001)  # of zeros that take no room
    assert "at most 64,000,000 bytes" in refuse_at_once(read_costs, tmp_path / "large.json")

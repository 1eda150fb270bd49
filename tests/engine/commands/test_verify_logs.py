"""``engine-verify --log`` as a user runs it: what it says, how it ends, and that nothing makes it fall over."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purecert.engine.commands.verify import verify_command
from support.public_logs import HEADER, log_text, spread_counts

_KNOWN = ("--n", "1000", "--alpha", "0.001", "--sigma", "0.25")
_in_one_file = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs") / "log.tsv"
    path.write_text(log_text(spread_counts(300, 1000), 1000, 1e-3, 0.25, "{:.4f}".format))
    return path


def _verify(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    """Return exit code, output and errors of ``engine-verify``."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        verify_command([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, captured.out, captured.err


def test_log_is_explained_and_its_table_printed(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _verify(capsys, "--log", log)
    assert (code, err) == (0, "")
    assert "n = 1000, alpha = 0.001, sigma = 0.25, printed {:.4f}: explains" in out
    assert "as printed" in out
    assert "least counts" in out
    assert "least counts: p_lower of the right class, likewise: 5 % up to 0.0000" in out
    assert "an average radius alone misleads" in out
    assert "certified anew" not in out


def test_json_says_what_the_text_says(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _verify(capsys, "--log", log, "--log", log, "--thin", "500", "--radii", "0,0.2", "--json", *_KNOWN)
    first, second, best = (json.loads(line) for line in out.splitlines())
    assert code == 0
    assert first["settings"][0]["n"] == 1000
    assert (first["told"], first["explained"], first["unexplained"], first["seed"]) == (True, True, [], 0)
    assert [line["radii"] for line in first["accuracies"]] == ["as printed", "least counts", "certified anew"]
    spread = [line["distribution"]["radius"] for line in first["accuracies"]]
    assert [sum(each["counts"]) for each in spread] == [300, 300, 300 * 100]
    assert (
        first["accuracies"][1]["distribution"]["p_lower"]["zeros"] == spread[1]["zeros"] > 100
    )  # every third is wrong
    assert best["best_of"][0]["distribution"] is None
    assert [point["radius"] for point in best["best_of"][2]["certified_at"]] == [0.0, 0.2]
    assert "selected on these images" in best["mark"]
    # Other draws are kept of the second log, though it is the same.
    assert first["accuracies"][2]["certified_at"] != second["accuracies"][2]["certified_at"]


def test_thinning_says_its_seed_and_what_becomes_of_abstentions(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _verify(capsys, "--log", log, "--thin", "500", "--seed", "7", *_KNOWN)
    assert code == 0
    assert "(seed 7)" in out
    assert "rows that abstain keep abstaining" in out
    assert _verify(capsys, "--log", log, "--thin", "500", "--seed", "7", *_KNOWN)[1] == out
    assert _verify(capsys, "--log", log, "--thin", "500", "--seed", "8", *_KNOWN)[1] != out


def test_logs_of_different_images_have_no_best(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.tsv"
    other.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    assert "best of 2" in _verify(capsys, "--log", log, "--log", log, *_KNOWN)[1]
    assert "best of 2" not in _verify(capsys, "--log", log, "--log", other, *_KNOWN)[1]


def test_every_counts_a_part_of_the_images_and_recovers_from_all(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _verify(capsys, "--log", log, "--every", "20", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["rows"] == 300
    assert found["accuracies"][0]["images"] == 15


def test_forged_row_is_a_failed_check(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "forged.tsv"
    path.write_text(log.read_text() + "300\t3\t3\t0.9000\t1\t0:00:14\n")
    code, out, err = _verify(capsys, "--log", path)
    assert code == 4
    assert "image 300: radius 0.9000 follows from no count" in out
    assert "radii follow from no count, the first: image 300, 0.9000" in err
    assert err.count("\n") == 1


def test_contradiction_is_a_failed_check(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "twice.tsv"
    path.write_text(log.read_text() + log.read_text().splitlines(keepends=True)[1])
    code, _, err = _verify(capsys, "--log", path, *_KNOWN)
    assert code == 4
    assert "2 contradictions, the first: image 0: 2 rows" in err


def test_log_that_abstains_throughout_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.tsv"
    path.write_text(log_text([500] * 5, 1000, 1e-3, 0.25))
    code, out, _ = _verify(capsys, "--log", path)
    assert code == 0
    assert "every row abstains, so draws, alpha, sigma and print format cannot be told" in out
    code, _, err = _verify(capsys, "--log", path, "--thin", "10")
    assert code == 2
    assert "expected one setting that explains the log" in err


def test_counts_are_not_certified_anew_by_a_guess(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.tsv"
    path.write_text(log_text([800, 900, 700], 1000, 1e-3, 0.25))
    code, out, err = _verify(capsys, "--log", path, "--recertify", "0.01")
    assert code == 2
    assert "settings explain it about equally well and cannot be told apart" in out
    assert "name --n, --alpha and --sigma" in err
    assert _verify(capsys, "--log", path, "--recertify", "0.01", *_KNOWN)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "expected a RUN, or --log FILE, got neither"),
        (("run", "--log", "LOG"), "expected a RUN or --log FILE, got both"),
        (("run", "--thin", "5"), "--thin goes with --log FILE, not with a RUN"),
        (("--log", "LOG", "--share", "0.5"), "--share goes with a RUN, not with --log"),
        (("--log", "LOG", "--plan", "plan"), "--plan goes with a RUN, not with --log"),
        (("--log", "LOG", "--thin", "2000", *_KNOWN), "has 1000 draws, expected at most as many, got 2000"),
        (("--log", "LOG", "--radii", "much"), "expected radii like"),
        (("--log", "LOG", "--radii", "-1"), "expected radii of at least 0"),
        (("--log", "LOG", "--n", "0"), "--n: expected a value in"),
        (("--log", "LOG", "--every", "0"), "--every: expected a value in"),
        (("--log", "absent"), "found no file"),
    ],
)
def test_bad_usage_is_one_line(
    log: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _verify(capsys, *(log if argument == "LOG" else argument for argument in arguments))
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found no row"),
        (HEADER, "found no row"),
        ("idx\tlabel\tpredict\tcorrect\ttime\n0\t3\t3\t1\t1.0\n", "found no column radius"),
        ("once upon a time\n", "expected a header, or lines"),
    ],
)
def test_file_that_is_no_log_is_one_line(
    tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.tsv"
    path.write_text(text)
    code, out, err = _verify(capsys, "--log", path)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.removeprefix(HEADER),
        lambda text: text.replace("\t", " \t "),
        lambda text: text.replace("\t", "   "),
        lambda text: text.replace("0:00:14.172309", "14.172309"),
        lambda text: text.replace("\t1\t0:", "\tTrue\t0:").replace("\t0\t0:", "\tFalse\t0:"),
        lambda text: text.replace("time\n", "time\tnote\n").replace("309\n", "309\tx\n"),
        lambda text: "".join(line.split("\t", 1)[1] for line in text.splitlines(keepends=True)),
        lambda text: "".join(line.split("\t", 1)[1] for line in text.removeprefix(HEADER).splitlines(keepends=True)),
        lambda text: text.replace("\n", "\r\n"),
    ],
    ids=["headless", "padded", "spaces", "seconds", "words", "columns", "no index", "bare", "windows"],
)
def test_malformed_log_says_what_the_well_formed_one_says(
    log: Path, tmp_path: Path, change: "object", capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.tsv"
    assert callable(change)
    path.write_text(change(log.read_text()), newline="")
    found, expected = (json.loads(_verify(capsys, "--log", each, "--json", *_KNOWN)[1]) for each in (path, log))
    for each in (found, expected):
        del each["log"]
        for accuracy in each["accuracies"]:
            del accuracy["log"]
    assert found == expected
    assert found["explained"]


@_in_one_file
@given(content=st.binary(max_size=300))
def test_random_bytes_are_one_line(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "log.tsv"
    path.write_bytes(content)
    code, _, err = _verify(capsys, "--log", path, *_KNOWN)
    assert code == 2
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@_in_one_file
@given(data=st.data())
def test_log_cut_anywhere_is_read_or_one_line(
    log: Path, tmp_path: Path, data: st.DataObject, capsys: pytest.CaptureFixture[str]
) -> None:
    content = log.read_bytes()
    path = tmp_path / "log.tsv"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    code, out, err = _verify(capsys, "--log", path, *_KNOWN)
    assert (code == 2 and not out and err.count("\n") == 1) or (code == 0 and not err)


@_in_one_file
@given(data=st.data())
def test_log_with_a_changed_byte_is_judged_without_a_traceback(
    log: Path, tmp_path: Path, data: st.DataObject, capsys: pytest.CaptureFixture[str]
) -> None:
    content = bytearray(log.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "log.tsv"
    path.write_bytes(content)
    code, _, err = _verify(capsys, "--log", path, *_KNOWN)
    assert code in (0, 2, 4)
    assert err.count("\n") == (code != 0)

"""Logs of other forms whose meaning is plain: each is read, audited, and refused where it contradicts itself."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from purecert.engine.commands.verify import verify_command
from purecert.engine.logs.checking import LogCheck, Question, check_log
from purecert.engine.logs.fingerprint import Sampling
from purecert.engine.logs.reading import read_log
from support.public_logs import log_text, spread_counts

_N, _ALPHA, _SIGMA = 1000, 1e-3, 0.5
_KNOWN = Question(radii=(0.0,), n=_N, alpha=_ALPHA)
_COUNTS = spread_counts(200, _N)
_GENERALIZED = "idx\tlabel\tpredict\tcount\tany_bound\texact_radius\tcorrect\ttime\n"
_ADAPTIVE = "idx \t label \t predict \t linf_radius \t prob_lb \t correct \t time\n"


def _bound(count: int) -> float:
    return float(special.betaincinv(count, _N - count + 1, _ALPHA)) if count else 0.0


def _with_counts(index: int, count: int, factor: float = 1.0) -> str:
    """Return a row as smoothingGenGaussian writes it."""
    radius = _SIGMA * float(special.ndtri(_bound(count)))
    end = f"3\t{count}\t1.1\t{factor * radius:.5}\t1" if radius > 0 else f"-1\t{count}\t0.0\t0.0\t0"
    return f"{index}\t3\t{end}\t0:00:16.196050\n"


def _with_bound(index: int, count: int, factor: float = 1.0) -> str:
    """Return a row as adaptive randomized smoothing writes it: radii of the largest difference, abstentions too."""
    p_lower = _bound(count)
    radius = factor * _SIGMA * float(special.ndtri(p_lower)) / np.sqrt(3072)
    predicted = -1 if p_lower < 0.5 else 3
    return f"{index} \t 3 \t {predicted} \t {radius:.3} \t {p_lower:3} \t {int(predicted == 3)} \t 0:01:05.795429\n"


def _check(tmp_path: Path, text: str, question: Question = _KNOWN) -> LogCheck:
    path = tmp_path / "log.tsv"
    path.write_text(text)
    return check_log(read_log(path), question)


@pytest.mark.parametrize(
    ("header", "row", "sigma"), [(_GENERALIZED, _with_counts, _SIGMA), (_ADAPTIVE, _with_bound, _SIGMA / np.sqrt(3072))]
)
def test_counts_and_bounds_tell_the_settings_and_name_the_row_that_contradicts_them(
    tmp_path: Path, header: str, row: Callable[..., str], sigma: float
) -> None:
    genuine = [row(index, count) for index, count in enumerate(_COUNTS)]
    told = _check(tmp_path, header + "".join(genuine), Question(radii=(0.0,), n=_N)).told
    assert told is not None
    assert (told.sampling.alpha, told.sampling.sigma) == (_ALPHA, pytest.approx(sigma, rel=1e-3))
    # A radius that some other count gives: only the row's own count, or bound, tells that it is not its own.
    first = next(index for index, count in enumerate(_COUNTS) if 700 < count < 900)
    other = next(count for count in range(910, 960) if count not in _COUNTS)
    swapped = row(first, _COUNTS[first]).split("\t")
    place = header.split("\t").index("exact_radius" if header == _GENERALIZED else " linf_radius ")
    swapped[place] = row(first, other).split("\t")[place]
    forged = [*genuine[:first], "\t".join(swapped), *genuine[first + 1 :]]
    check = _check(tmp_path, header + "".join(forged))
    assert [each.index for each in check.unexplained] == [first]


def test_abstention_has_the_negative_radius_of_its_bound_and_a_certificate_has_not(tmp_path: Path) -> None:
    check = _check(tmp_path, _ADAPTIVE + _with_bound(0, 300) + _with_bound(1, 900))
    assert [(row.predicted, row.radius) for row in check.log.rows] == [
        (None, 0.0),
        (3, pytest.approx(0.0108, abs=1e-3)),
    ]
    assert check.contradictions == ()
    claimed = _with_bound(1, 300).replace(" -1 ", " 3 ").replace("\t -", "\t ")
    assert "certified with the bound" in " ".join(_check(tmp_path, _ADAPTIVE + claimed).contradictions)


@pytest.mark.parametrize(
    ("left_out", "has_accuracy"), [(("correct",), True), (("label",), True), (("label", "correct", "time"), False)]
)
def test_log_without_labels_or_correct_is_audited(
    tmp_path: Path, left_out: tuple[str, ...], has_accuracy: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = log_text(_COUNTS, _N, _ALPHA, _SIGMA, "{:.4f}".format)
    kept = [place for place, name in enumerate(whole.splitlines()[0].split("\t")) if name not in left_out]
    text = "".join("\t".join(line.split("\t")[place] for place in kept) + "\n" for line in whole.splitlines())
    expected, check = _check(tmp_path, whole), _check(tmp_path, text)
    assert check.told is not None
    assert check.told.sampling == Sampling(n=_N, alpha=_ALPHA, sigma=_SIGMA)
    assert (check.unexplained, check.contradictions) == ((), ())
    found = [each.certified.tolist() for each in check.accuracies]
    assert found == ([each.certified.tolist() for each in expected.accuracies] if has_accuracy else [])
    for extra in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            verify_command(["--log", str(tmp_path / "log.tsv"), "--n", str(_N), *extra])
        assert ended.value.code == 0
        out = capsys.readouterr().out
        if extra:
            assert bool(json.loads(out)["accuracies"]) == has_accuracy
        else:
            assert ("accuracy is left out" in out) != has_accuracy


@pytest.mark.parametrize(
    "change",
    [
        lambda field: f"tensor([{field}])",
        lambda field: f"tensor({field})",
        lambda field: f"tensor([{field}], device='cuda:0')",
        lambda field: f"tensor({field}, device='cuda:0', dtype=torch.int32)",
    ],
)
def test_tensor_of_one_number_is_that_number(tmp_path: Path, change: Callable[[str], str]) -> None:
    plain = log_text(_COUNTS[:20], _N, _ALPHA, _SIGMA)
    lines = [line.split("\t") for line in plain.splitlines(keepends=True)]
    wrapped = "".join("\t".join([fields[0], *map(change, fields[1:3]), *fields[3:]]) for fields in lines[1:])
    assert _check(tmp_path, "\t".join(lines[0]) + wrapped).log.rows == _check(tmp_path, plain).log.rows


def test_list_without_header_and_index_is_audited(tmp_path: Path) -> None:
    # As rRCM prints it: label, class, radius of three digits out of a 32-bit float, 0 or 1, time.
    whole = log_text(_COUNTS, _N, _ALPHA, _SIGMA, lambda radius: f"{float(np.float32(radius)):.3}")
    text = "".join(line.split("\t", 1)[1] for line in whole.splitlines(keepends=True)[1:])
    check = _check(tmp_path, text)
    assert (check.unexplained, check.contradictions) == ((), ())
    assert Sampling(n=_N, alpha=_ALPHA, sigma=_SIGMA) in [each.sampling for each in check.settings]
    assert len(check.log.rows) == len(_COUNTS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("idx\tlabel\tpredict\tcount\tcorrect\ttime\n0\t3\t3\t9\t1\t1.0\n", "found no column radius"),
        ("idx\tpredict\ttime\n0\t3\t1.0\n", "found no correct"),
        ("idx\tlabel\tpredict\tlinf_radius\tcorrect\ttime\n0\t3\t3\t0.1\t1\t1.0\n", "found no column radius"),
        (_GENERALIZED + "0\t3\t3\tmany\t1\t0.5\t1\t1.0\n", "expected an integer under successes, found 'many'"),
        (_ADAPTIVE + "0\t3\t3\t0.1\t1.5\t1\t1.0\n", "expected a probability under prob_lb, found '1.5'"),
        (_ADAPTIVE + "0\t3\t3\t-0.1\t0.4\t1\t1.0\n", "expected a radius in [0, 1e+06], found '-0.1'"),
        ("idx\tlabel\tpredict\tradius\n0\t3\ttensor([3, 4])\t0.5\n", "expected an integer under predict"),
    ],
)
def test_form_that_is_not_known_is_refused_in_one_line(
    tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.tsv"
    path.write_text(text)
    with pytest.raises(SystemExit) as ended:
        verify_command(["--log", str(path)])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1

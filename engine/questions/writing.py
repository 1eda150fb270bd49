"""An answer's files: text, JSON and a drawing, in a folder that is no run's, under names that no run's files have."""

from collections.abc import Sequence
from pathlib import Path

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import write_atomically
from purecert.engine.questions.answer import Answer
from purecert.engine.questions.printing import answer_json, answer_text, name_of
from purecert.engine.records.run_directory import RUN_FILE
from purecert.engine.reports.chart_style import check_free
from purecert.engine.reports.distribution_picture import Series, distribution_paths, plot_distributions


def write_answer(answer: Answer, directory: Path, *, force: bool) -> Sequence[Path]:
    """Write ``answer`` into ``directory`` and return the paths; nothing is written before all of it can be.

    Raises:
        InputError: The directory is a run's, or a file is there already and ``force`` does not replace it.
        BackendError: Matplotlib is not installed.
    """
    if (directory / RUN_FILE).exists():
        raise InputError(f"{directory}: expected a folder for an answer, found a run's own; choose another --out")
    stem = f"question-{name_of(answer)}"
    texts = {directory / f"{stem}.txt": answer_text(answer), directory / f"{stem}.json": answer_json(answer)}
    for path in (*texts, *distribution_paths(directory, stem)):
        check_free(path, force=force)
    drawn = plot_distributions(_series(answer), directory, stem, force=force)
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in texts.items():
        write_atomically(path, f"{text}\n".encode())
    return [*texts, *drawn]


def _series(answer: Answer) -> list[Series]:
    asked = [claim for claim in answer.claims if claim.is_asked]
    if not asked:
        return []
    name = f"{answer.run}: {name_of(answer)} (sigma {answer.sigma})"
    p_right, radii = [claim.p_right for claim in asked], [claim.right_radius for claim in asked]
    return [Series(name=name, p_lower=p_right, radii=radii)]

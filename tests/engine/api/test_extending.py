"""Draws continued from Python: the bytes of the command line, and the same refusals in Python's words."""

from pathlib import Path

import numpy as np
import pytest

import purecert
from purecert.engine.errors import InputError
from support.commands import engine
from support.verifying import plane_and_images, verify

_NUMBERS = {"sigma": 0.5, "n": 200, "n0": 20, "seed": 3, "threads": 1, "batch": 128}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a plan, and a run of an array of images whose draws may be continued."""
    folder = tmp_path_factory.mktemp("api-extended")
    plan, _ = plane_and_images(folder)
    with np.load(folder / "images.npz") as held:
        purecert.certify(plan, held["x"][:6], labels=held["y"][:6], extend_to=900, out=folder / "run", **_NUMBERS)  # type: ignore[arg-type]  # each of its own type
    return folder


def test_draws_are_continued_to_the_bytes_of_the_command_line_and_images_go_with_the_run(folder: Path) -> None:
    first = purecert.read_run(folder / "run")
    seen: list[int] = []
    more = purecert.extend(first, out=folder / "more", on_image=lambda done, of, outcome: seen.append(done))
    assert (more.spec.n_estimate, len(more.outcomes), seen) == (900, 6, list(range(1, 7)))
    engine("certify", "--extend", folder / "run", "--out", folder / "typed").expect(0)
    for name in ("run.json", "certificates.jsonl", "images.npz"):
        assert (folder / "more" / name).read_bytes() == (folder / "typed" / name).read_bytes()
    moved = (folder / "run").rename(folder / "elsewhere")
    assert verify(folder / "more").code == 0
    moved.rename(folder / "run")
    held = purecert.extend(folder / "run")  # into a folder that goes with it
    assert held.outcomes == more.outcomes


def test_what_cannot_be_extended_is_refused_in_the_words_of_python(folder: Path) -> None:
    ordinary = purecert.certify(folder / "plan", f"npz:{folder / 'images.npz'}[:2]", **_NUMBERS)  # type: ignore[arg-type]  # each of its own type
    with pytest.raises(InputError, match="it was begun without extend_to, so all of alpha was spent"):
        purecert.extend(ordinary)
    stop = purecert.StopSpec(rule="radii", radii=(0.25,))
    for changes, words in (
        ({"alpha_first": 1e-4}, "expected alpha_first with extend_to only"),
        ({"extend_to": 200}, "more draws to extend to than the first n"),
        ({"extend_to": 900, "alpha_first": 1e-3}, "alpha of the first look as a part of alpha"),
        ({"extend_to": 900, "stop": stop}, "certificates of a fixed n to extend"),
    ):
        with pytest.raises(InputError, match=words):
            purecert.certify(folder / "plan", "digits:test[:1]", **_NUMBERS | changes)  # type: ignore[arg-type]  # each of its own type

"""Certify and predict from Python, as engine-certify and engine-predict do from the command line."""

import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Required, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from purecert.engine.api.array_images import array_dataset
from purecert.engine.api.numbers import whole
from purecert.engine.api.python_words import python_words
from purecert.engine.api.run_result import RunResult
from purecert.engine.backends.base import BackendOptions
from purecert.engine.errors import InputError
from purecert.engine.hardware import available_threads
from purecert.engine.images.class_folders import labelled_for
from purecert.engine.images.datasets import Dataset, load_dataset, moved_record
from purecert.engine.plans.plan import Plan, read_plan
from purecert.engine.procedures.spec import (
    DEFAULT_LEAST_CHANCE,
    CertifyMode,
    ExtensionSpec,
    SmoothingSpec,
    StopSpec,
    plain_number,
    usual_stop,
)
from purecert.engine.records import run as records
from purecert.engine.records.run_directory import IMAGES_FILE
from purecert.engine.records.sources import Sources
from purecert.engine.running.progress import CallingProgress, OnImage, Progress, SilentProgress, TerminalProgress
from purecert.engine.running.run import RunRequest, execute

PathLike = str | os.PathLike[str]
Labels = NDArray[np.integer]
Number = float | np.floating
Count = int | np.integer


class RunOptions(TypedDict, total=False):
    """Where a run is written, and what computes it; each may be left out."""

    out: PathLike | None  # run directory to write; None: a temporary one, deleted with the result; `save` copies it
    resume: bool  # continue the run in out
    force: bool  # replace the run in out
    seed: Count | None  # 64-bit seed of the noise, marked in reports; None draws one
    data_dir: PathLike | None  # where the files of a named data set lie
    backend: str  # "onnxruntime" unless given; "auto" picks backend and batch; engine-doctor names those that work here
    batch: Count  # rows of one call of the graph: 256 unless given
    threads: Count | None  # processors to use; None: all
    shows_progress: bool  # a line on stderr, where that is a terminal
    on_image: OnImage | None  # called after each image with how many are finished, of how many, and its outcome


class PredictOptions(RunOptions, total=False):
    """All of ``predict`` besides plan and images, to be passed on."""

    sigma: Required[Number]
    labels: Labels | None
    n: Count
    n0: Count
    alpha: Number
    early: bool
    least_chance: Number


class CertifyOptions(RunOptions, total=False):
    """All of ``certify`` besides plan and images, to be passed on."""

    sigma: Required[Number]
    labels: Labels | None
    n: Count
    n0: Count
    alpha: Number
    mode: CertifyMode | None
    stop: StopSpec | None
    against_label: bool
    extend_to: Count | None
    alpha_first: Number | None


@python_words()
def load_plan(directory: PathLike) -> Plan:
    """Return the plan that ``engine-export`` or ``export_module`` wrote into ``directory``.

    Raises:
        InputError: There is no such plan, or plan.json is not one that this version reads.
    """
    return read_plan(Path(directory))


@python_words()
def read_run(directory: PathLike) -> RunResult:
    """Return the finished images of the run in ``directory``.

    Raises:
        InputError: There is no run, or run.json or a line was changed.
    """
    return RunResult(records.read_run(Path(directory)))


@python_words()
def certify(
    plan: Plan | PathLike,
    images: str | NDArray[np.uint8],
    *,
    sigma: Number,
    labels: Labels | None = None,
    n: Count = 100_000,
    n0: Count = 100,
    alpha: Number = 1e-3,
    mode: CertifyMode | None = None,
    stop: StopSpec | None = None,
    against_label: bool = False,
    extend_to: Count | None = None,
    alpha_first: Number | None = None,
    **options: Unpack[RunOptions],
) -> RunResult:
    """Return a certificate or an abstention for each image, each wrong with probability at most ``alpha``.

    CERTIFY of Cohen, Rosenfeld and Kolter (2019). A certificate binds the answer at every 8-bit image closer than its
    radius; docs/certificates.md has what follows for images of floats.

    Args:
        plan: A plan, or its directory.
        images: Images by name as ``--data`` takes them (``"digits:test[:100]"``, ``"npz:FILE"``), or uint8 pixels
            [images, channels, height, width]; an array is kept in the run directory, as ``images.npz``. Floats in a
            named file are rounded to 8 bits, and ``RunResult.moved`` says how far; arrays of floats are refused.
        sigma: Noise standard deviation, in pixel units of [0, 1]; the plan has a graph for it.
        labels: Integers [images], of an array of images. Without labels there is no certified accuracy.
        n: Fresh draws that bound the class's probability; at the most, where ``stop`` says when to stop.
        n0: Draws that pick the class.
        alpha: Failure probability of one image's answer, in (0, 0.5).
        mode: As ``--mode``: "fixed" draws all n, "radii" stops when the five default radii are decided, "tolerance"
            when the radius is known to 5 %; None: what ``stop`` says.
        stop: When to stop before ``n`` draws, in detail; None draws them all. Not with ``mode``.
        against_label: Certify the data's label instead of picking a class.
        extend_to: Split alpha now, so that ``extend`` may later continue the n draws to so many; not with ``stop``.
        alpha_first: With ``extend_to``: the part of alpha for the look at n; None: half of it.
        options: Where the run is written and what computes it: ``RunOptions``.

    Raises:
        InputError: An argument is out of its range or does not fit the others, or ``out`` is not free.
        BackendError: The backend is missing or fails.
        CheckError: The backend's rows depend on each other.
    """
    n, alpha = whole("n", n), plain_number("alpha", alpha)
    if mode is not None and stop is not None:
        raise InputError("expected mode or stop, got both; stop says all that mode does")
    stop = stop if mode is None else usual_stop(mode, alpha)
    if extend_to is None and alpha_first is not None:
        raise InputError("expected alpha_first with extend_to only; leave it out, or say how far to extend")
    spec = SmoothingSpec(
        mode="certify",
        sigma=plain_number("sigma", sigma),
        n_select=whole("n0", n0),
        n_estimate=n,
        alpha=alpha,
        stop=stop,
        against_label=against_label,
        extension=None if extend_to is None else _extension(n, whole("extend_to", extend_to), alpha, alpha_first),
    )
    return _answer(spec, plan, images, labels, **options)


@python_words()
def predict(
    plan: Plan | PathLike,
    images: str | NDArray[np.uint8],
    *,
    sigma: Number,
    labels: Labels | None = None,
    n: Count = 1000,
    n0: Count = 100,
    alpha: Number = 1e-3,
    early: bool = False,
    least_chance: Number = DEFAULT_LEAST_CHANCE,
    **options: Unpack[RunOptions],
) -> RunResult:
    """Return the smoothed classifier's answer or an abstention for each image; no radius is claimed.

    PREDICT of Cohen, Rosenfeld and Kolter (2019): each answer is wrong with probability at most ``alpha``.

    Args:
        n: Draws that vote; with ``early``, at the most.
        n0: With ``early``: draws that pick the candidate.
        early: Stop when the candidate is shown to be likelier than every other class.
        least_chance: With ``early``: give an image up where the rest of n draws would answer it with less chance.
        options: As of ``certify``; so are the arguments that are not listed here.

    Raises:
        InputError: An argument is out of its range or does not fit the others, or ``out`` is not free.
        BackendError: The backend is missing or fails.
        CheckError: The backend's rows depend on each other.
    """
    chance = plain_number("least_chance", least_chance)
    stop = StopSpec(rule="answer", alpha_refute=plain_number("alpha", alpha), least_chance=chance) if early else None
    spec = SmoothingSpec(
        mode="predict",
        sigma=plain_number("sigma", sigma),
        n_select=whole("n0", n0),
        n_estimate=whole("n", n),
        alpha=plain_number("alpha", alpha),
        stop=stop,
    )
    return _answer(spec, plan, images, labels, **options)


def _answer(
    spec: SmoothingSpec,
    plan: Plan | PathLike,
    images: str | NDArray[np.uint8],
    labels: Labels | None,
    *,
    out: PathLike | None = None,
    resume: bool = False,
    force: bool = False,
    seed: Count | None = None,
    data_dir: PathLike | None = None,
    backend: str = "onnxruntime",
    batch: Count = 256,
    threads: Count | None = None,
    shows_progress: bool = False,
    on_image: OnImage | None = None,
) -> RunResult:
    loaded = plan if isinstance(plan, Plan) else load_plan(plan)
    options = BackendOptions(
        name=backend,
        batch=whole("batch", batch),
        threads=available_threads() if threads is None else whole("threads", threads),
    )
    with ExitStack() as held:
        output = Path(held.enter_context(TemporaryDirectory(prefix="purecert-")), "run") if out is None else Path(out)
        named = images if isinstance(images, str) else f"npz:{output / IMAGES_FILE}"
        sources = Sources(plan=loaded.directory, data=named, data_dir=None if data_dir is None else Path(data_dir))
        dataset, kept = _dataset(images, labels, sources)
        dataset = labelled_for(dataset, loaded.record.classes, loaded.record.class_names)
        request = RunRequest(
            plan=loaded,
            dataset=dataset,
            spec=spec,
            backend=options,
            output=output,
            seed=None if seed is None else whole("seed", seed),
            resume=resume,
            force=force,
            invocation=sources.absolute() | moved_record(dataset),
            images=kept,
        )
        return RunResult(execute(request, progress_of(request, shows_progress, on_image)), held.pop_all())


def progress_of(request: RunRequest, shows_progress: bool, on_image: OnImage | None) -> Progress:
    """Return what hears how the run of ``request`` goes on."""
    progress: Progress = SilentProgress()
    images, spec = len(request.dataset), request.spec
    if shows_progress:
        progress = TerminalProgress(images, spec.max_rows, certifies=spec.mode == "certify")
    return progress if on_image is None else CallingProgress(progress, images, on_image)


def _extension(n: int, last: int, alpha: float, alpha_first: Number | None) -> ExtensionSpec:
    first = alpha / 2 if alpha_first is None else plain_number("alpha_first", alpha_first)
    return ExtensionSpec(n_first=n, n_last=last, alpha_first=first)


def _dataset(images: str | NDArray[np.uint8], labels: Labels | None, sources: Sources) -> tuple[Dataset, bytes | None]:
    """Return the images, and what to keep of them beside the run's lines."""
    if not isinstance(images, str):
        return array_dataset(images, labels)
    if labels is not None:
        raise InputError("expected labels with an array only, since a data set brings its own; leave them out")
    return load_dataset(sources.data, sources.data_dir), None

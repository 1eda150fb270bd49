"""Continue the draws of a finished run from Python, as engine-certify --extend does from the command line."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from purecert.engine.api.certifying import PathLike, load_plan, progress_of
from purecert.engine.api.python_words import python_words
from purecert.engine.api.run_result import RunResult
from purecert.engine.plans.plan import Plan
from purecert.engine.records.run import read_run
from purecert.engine.records.sources import read_sources
from purecert.engine.running.continuing import continuing_request
from purecert.engine.running.progress import OnImage
from purecert.engine.running.run import execute


@python_words()
def extend(
    run: RunResult | PathLike,
    *,
    plan: Plan | PathLike | None = None,
    images: str | None = None,
    data_dir: PathLike | None = None,
    out: PathLike | None = None,
    resume: bool = False,
    force: bool = False,
    shows_progress: bool = False,
    on_image: OnImage | None = None,
) -> RunResult:
    """Return a new run that continues the draws of ``run`` to the number that was planned when it began.

    Both looks hold together with probability 1 - alpha, since alpha was split between them before the first draw: the
    larger bound counts, so what ``run`` certified stays certified (docs/stopping-early.md).

    Args:
        run: A finished run that was begun with ``extend_to``, or its directory; it is left as it is.
        plan: Where its plan lies now; None: where it lay.
        images: The name of its data where they moved, as ``certify`` takes it; None: as it was.
        data_dir: Where the files of a named data set lie now; None: where they lay.
        out: As of ``certify``; so are the arguments that are not listed here.

    Raises:
        InputError: The run cannot be extended, plan or data are not its own, or ``out`` is not free.
        BackendError: The run's backend is missing or fails.
        CheckError: The backend's rows depend on each other.
    """
    finished = read_run(run.directory if isinstance(run, RunResult) else Path(run))
    lies = plan.directory if isinstance(plan, Plan) else plan
    sources = read_sources(finished.directory).moved(
        None if lies is None else Path(lies), images, None if data_dir is None else Path(data_dir)
    )
    loaded = plan if isinstance(plan, Plan) else load_plan(sources.plan)
    with ExitStack() as held:
        output = Path(held.enter_context(TemporaryDirectory(prefix="purecert-")), "run") if out is None else Path(out)
        request = continuing_request(finished, loaded, sources, output=output, resume=resume, force=force)
        return RunResult(execute(request, progress_of(request, shows_progress, on_image)), held.pop_all())

"""The training loop: step, check, average, report, save. What a step is, an objective says."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, final, runtime_checkable

import torch
from torch import nn

from purecert.engine.errors import CheckError, InputError
from purecert.engine.records.run_directory import locked
from purecert.train.fitting.data import Sampler
from purecert.train.fitting.draws import step_seed
from purecert.train.fitting.keeping.configuration import plain
from purecert.train.fitting.keeping.metrics import Metrics
from purecert.train.fitting.keeping.state import STATE_FILE, Moving, Tally, load_state, save_state
from purecert.train.fitting.plans.averages import WeightAverage
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.layers import parameter_groups
from purecert.train.fitting.progress import StepReport
from purecert.train.fitting.session import PausedError, Session
from purecert.train.fitting.step import Objective, Slope, find_slope, move

Fitting = Callable[[nn.Module, Objective, Fit, Sampler, Session], None]  # ``fit``, or what measures in its place


@runtime_checkable
class Following(Protocol):
    """An objective with networks that follow the trained one after each step (`purecert.train.objectives`)."""

    def after_step(self, step: int) -> None:
        """Let them follow, after the step of this number, counted from 0."""

    def kept(self) -> Mapping[str, nn.Module]:
        """Return the networks that change with the training, by a name each: the state holds them."""


def fit(module: nn.Module, objective: Objective, plan: Fit, sampler: Sampler, session: Session | None = None) -> None:
    """Minimise the objective over the module's parameters and leave their average in it, in eval mode.

    Batches, noise and dropout follow from the sampler's seed, the stage and the step alone. Where the session has a
    folder with a state of this stage, the training goes on from there, to the same bits on a CPU (the same number of
    threads and processes given). Every process of the session calls this with the same weights.

    Args:
        module: What is trained, on the session's device; the objective computes with it.
        objective: Returns the loss of a batch, the mean over its rows.
        plan: Every number.
        sampler: Gives the batches.
        session: Where states are saved and who hears of progress; None: nothing is saved or said.

    Raises:
        CheckError: A loss, a gradient or a weight is not finite; the last good state is kept.
        InputError: The folder's state is of another configuration, or another process writes there.
        PausedError: The time is up and the state is saved.
    """
    session = session or Session()
    if session.deadline is not None and session.folder is None:
        raise InputError("a training with a time budget needs a folder to go on from")
    folder = session.stage_folder(plan.stage)
    with _held(folder, session), _own_random_numbers(session.device):
        training = _Training(module, objective, plan, sampler, session, folder)
        try:
            training.run()
        finally:
            training.close()
    module.eval()


@final
class _Training:
    def __init__(
        self,
        module: nn.Module,
        objective: Objective,
        plan: Fit,
        sampler: Sampler,
        session: Session,
        folder: Path | None,
    ) -> None:
        self._objective, self._plan, self._sampler, self._session = objective, plan, sampler, session
        if hasattr(objective, "after_step") and not isinstance(objective, Following):
            raise TypeError("an objective with after_step says in kept() which networks the state must hold")
        self._rows = session.processes.rows(sampler.batch)
        self._configuration = _configuration(plan, sampler, session)
        self._moving = Moving(
            module=module,
            average=WeightAverage(module, plan.average),
            optimizer=plan.optimizer.build(parameter_groups(module, plan.layer_decay)),
            kept=objective.kept() if isinstance(objective, Following) else {},
            tally=Tally(),
        )
        self._state = folder / STATE_FILE if folder else None
        if self._state:
            load_state(self._moving, self._configuration, self._state)
        if not session.processes.agree(self._tally.step):
            raise InputError(f"{folder}: the processes found different states there; it must be one folder for all")
        self._saved = self._tally.step
        is_writer = folder is not None and session.processes.is_first
        self._metrics = Metrics(folder, self._tally.step) if folder and is_writer else None
        self._began = time.monotonic() - self._tally.seconds
        self._paced = (time.monotonic(), self._tally.step)

    @property
    def _tally(self) -> Tally:
        return self._moving.tally

    def run(self) -> None:
        module, progress = self._moving.module, self._session.progress
        module.train()
        progress.begin(self._plan.stage, self._tally.step, self._plan.steps)
        while self._tally.step < self._plan.steps:
            slope = self._step()
            progress.step()
            if self._is_due(self._plan.report_every):
                self._report(slope)
            if self._is_due(self._plan.save_every) or slope.is_over:
                self._save()
            if slope.is_over and self._tally.step < self._plan.steps:
                raise PausedError(f"{self._plan.stage}: the time is up, {self._where_saved()}")
        self._moving.average.store()

    def close(self) -> None:
        self._session.progress.end()
        if self._metrics:
            self._metrics.close()

    def _step(self) -> Slope:
        plan, processes, step = self._plan, self._session.processes, self._tally.step
        batch = self._sampler.draw(plan.stage, step, self._rows, self._session.device)
        torch.manual_seed(step_seed(self._sampler.seed, f"{plan.stage}/network/{processes.rank}", step))
        module, is_over = self._moving.module, self._session.is_over
        slope = find_slope(module, self._objective, batch, plan.precision, processes, is_over=is_over)
        if slope.fault:
            raise self._failure(f"step {step}: {slope.fault}")
        move(module, self._moving.optimizer, slope, plan.rate(step), plan.longest(step))
        if isinstance(self._objective, Following):
            self._objective.after_step(step)
        self._moving.average.update(step + 1)
        self._tally.step += 1
        self._tally.loss += slope.loss
        self._tally.losses += 1
        return slope

    def _is_due(self, every: int) -> bool:
        return self._tally.step % every == 0 or self._tally.step == self._plan.steps

    def _report(self, slope: Slope) -> None:
        tally, now = self._tally, time.monotonic()
        pace = (tally.step - self._paced[1]) * self._sampler.batch / max(now - self._paced[0], 1e-9)
        line = StepReport(
            stage=self._plan.stage,
            step=tally.step,
            steps=self._plan.steps,
            loss=tally.loss / tally.losses,
            learning_rate=self._plan.rate(tally.step - 1),
            gradient_norm=slope.norm,
            samples_per_second=pace,
            seconds=now - self._began,
        )
        tally.loss, tally.losses, self._paced = 0.0, 0, (now, tally.step)
        self._session.progress.report(line)
        if self._metrics:
            self._metrics.write(line)

    def _save(self) -> None:
        if not all(bool(value.isfinite().all()) for value in self._moving.module.state_dict().values()):
            raise self._failure(f"a weight after {self._tally.step} steps is not finite")
        self._tally.seconds = time.monotonic() - self._began
        if self._state and self._metrics:  # in the first process
            self._metrics.sync()  # the log of what is saved is there whenever the state is
            save_state(self._moving, self._configuration, self._state)
        self._session.processes.agree(self._tally.step)  # no process leaves before the state is there
        self._saved = self._tally.step

    def _failure(self, what: str) -> CheckError:
        advice = "lower the learning rate, or clip the gradient"
        return CheckError(f"{self._plan.stage}: {what}; {advice}; {self._where_saved()}")

    def _where_saved(self) -> str:
        if not self._state or not self._saved:
            return "nothing was saved"
        return f"the state after {self._saved} steps is in {self._state}"


def _configuration(plan: Fit, sampler: Sampler, session: Session) -> dict[str, Any]:
    """Return everything that decides the weights, as far as it is known here."""
    data = {"batch": sampler.batch, "seed": sampler.seed, "images": sampler.images.fingerprint}
    return {
        "fit": plain(plan),
        "data": data | {"augmentation": plain(sampler.augmentation)},
        "recipe": plain(session.configuration),
    }


@contextmanager
def _held(folder: Path | None, session: Session) -> Iterator[None]:
    with locked(folder) if folder and session.processes.is_first else nullcontext():
        yield


@contextmanager
def _own_random_numbers(device: torch.device) -> Iterator[None]:
    """Give back the state of PyTorch's own generators, which dropout draws from, as it was."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield

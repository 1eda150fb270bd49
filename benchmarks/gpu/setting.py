"""What gpu.sh tells its steps through the environment, and where they find what earlier steps made."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from purecert.engine.backends.base import BackendOptions
    from purecert.engine.backends.torch.queue import TorchQueue

SIGMA = 0.5
SEED = 0  # nothing is certified here, so noise may repeat

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One call of gpu.sh."""

    is_dry_run: bool
    results: Path
    work: Path  # holds the build, the plans and the runs
    commit: str  # where git does not say it
    batches: tuple[int, ...]  # that are compiled and compared
    batch: int  # of the steps that take one
    backends: tuple[str, ...] = ()  # to measure in one table with the backend; those of a GPU

    def pick(self, real: Value, dry_run: Value) -> Value:
        """Return the size that suits this call."""
        return dry_run if self.is_dry_run else real

    @property
    def backend(self) -> str:
        """Return the backend that is measured, or the one that runs the same loop on the host."""
        return self.pick("torch-cuda", "torch-compiled")

    @property
    def threads(self) -> int:
        """Return the processors to use: all, or in a dry run one, as the host's queue does."""
        return self.pick(len(os.sched_getaffinity(0)), 1)

    @property
    def probe_rows(self) -> int:
        """Return the rows of the check that rows are independent: one batch where it is of the usual size."""
        return self.pick(512, 64)

    def model(self, name: str) -> str:
        """Return the model of plan ``name`` as the commands take it."""
        return "demo" if name == "demo" else str(self._folder(name) / "model.pt")

    def plan(self, name: str) -> Path:
        """Return the directory of plan ``name``: demo, vit or wrn."""
        return self._folder(name) / "plan"

    def data(self, name: str) -> str:
        """Return images for plan ``name`` as the commands take them: real digits, or random pixels."""
        return "digits:test[:100]" if name == "demo" else f"npz:{self._folder(name) / 'images.npz'}"

    def _folder(self, name: str) -> Path:
        return self.work / "plans" / name


def read_setting() -> Setting:
    """Return what gpu.sh set."""
    return Setting(
        is_dry_run=os.environ["PURECERT_DRY_RUN"] == "1",
        results=Path(os.environ["RESULTS"]),
        work=Path(os.environ["WORK"]),
        commit=os.environ["COMMIT"],
        batches=tuple(map(int, os.environ["BATCHES"].split())),
        batch=int(os.environ["BATCH"]),
        backends=tuple(os.environ.get("BACKENDS", "").split()),
    )


def open_queue(setting: Setting) -> "TorchQueue":
    """Return the GPU's queue, or in a dry run one thread of the host.

    Raises:
        BackendError: There is no GPU.
    """
    from purecert.engine.backends.torch.queue import CudaQueue, HostQueue

    return HostQueue() if setting.is_dry_run else CudaQueue()


def backend_options(setting: Setting, name: str) -> "BackendOptions":
    """Return the options of backend ``name`` for what is not a command."""
    from purecert.engine.backends.base import BackendOptions

    return BackendOptions(name=name, batch=setting.batch, threads=setting.threads, probe_rows=setting.probe_rows)

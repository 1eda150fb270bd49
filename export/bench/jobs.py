"""What engine-bench has PyTorch do, each job in a process of its own: so PyTorch is imported there, and only there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from purecert.engine.bench.agreement import Labels
from purecert.engine.bench.measure import Measurement, Task
from purecert.engine.errors import InputError
from purecert.export.bench.spec import Variant
from purecert.export.refusals import needing

DEMO = "demo"
_PYTORCH = ("eager FP32", "export")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """The model that a plan was exported from, and where eager PyTorch would run it."""

    model: str | None  # path of its file; None where it is not at hand
    note: str  # why not
    accelerator: str | None  # name of the GPU; None where PyTorch finds none


def find_reference(name: str | None, digest: str) -> Reference:
    """Return the model file ``name``, or the shipped demo model where that has ``digest`` and no other is named.

    Raises:
        InputError: ``name`` is not the model of that digest.
        BackendError: PyTorch is not installed.
    """
    with needing(*_PYTORCH):
        import torch

        from purecert.train.models.checkpoints import demo_model_path, load_model
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    path = demo_model_path() if name in (None, DEMO) else Path(name)
    found = load_model(path).sha256
    if found == digest:
        return Reference(model=str(path), note="", accelerator=accelerator)
    if name is not None:
        raise InputError(
            f"{name}: expected the model that the plan was exported from, SHA-256 {digest or '(none is recorded)'}, "
            f"found {found}; name that one, or export this one again"
        )
    note = "no model file: name the one that the plan was exported from with --model"
    return Reference(model=None, note=note, accelerator=accelerator)


def time_eagerly(task: Task, model: str, variant: Variant, batch: int) -> Measurement:
    """Return what ``measure_eager`` does, or raise BackendError where PyTorch is not installed."""
    with needing(*_PYTORCH):
        from purecert.export.bench.eager_loop import measure_eager
    return measure_eager(task, model, variant, batch)


def label_eagerly(task: Task, model: str) -> Labels:
    """Return what ``reference_labels`` does, or raise BackendError where PyTorch is not installed."""
    with needing(*_PYTORCH):
        from purecert.export.bench.eager_loop import reference_labels
    return reference_labels(task, model)


def rate_matrices(kinds: Sequence[tuple[str, str]], threads: int) -> dict[tuple[str, str], float]:
    """Return what ``matrix_rates`` does, or raise BackendError where PyTorch is not installed."""
    with needing(*_PYTORCH):
        from purecert.export.bench.matrix_rate import matrix_rates
    return matrix_rates(kinds, threads)

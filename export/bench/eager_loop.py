"""The field's way to draw votes: the model in eager FP32, floating-point noise, and a wait for every batch.

As CERTIFY of Cohen et al. (2019) is published (locuslab/smoothing, core.py), except for its count of the labels, which
is a loop in Python there and one call of NumPy here: the baseline shall not be slower than it need be.
"""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from purecert.engine.backends.failures import pytorch_failures
from purecert.engine.backends.torch.precision import forbid_rounding
from purecert.engine.bench.agreement import Labels, noisy_rows
from purecert.engine.bench.measure import Measurement, Task
from purecert.engine.bench.process import peak_memory
from purecert.engine.bench.timing import time_loop
from purecert.engine.hardware import describe_cpu
from purecert.engine.noise.contract import GREY_LEVELS
from purecert.engine.plans.plan import read_plan
from purecert.export.bench.spec import Variant
from purecert.export.fusing.fuse import fuse
from purecert.train.models.checkpoints import load_model

_LABELLED_ROWS = 64  # at a time: so few that comparing labels needs no more memory than the timing did
_FIRST_WITH_TF32 = (8, 0)  # compute capability


def measure_eager(task: Task, model: str, variant: Variant, batch: int) -> Measurement:
    """Return what the loop takes for the task, with the model file ``model``.

    Raises:
        PurecertError: The model cannot be read, or memory ran out.
    """
    began = perf_counter()
    eager = EagerModel(task, model, variant)
    run_batch = eager.loop(batch)
    open_seconds = perf_counter() - began
    with pytorch_failures():
        timing = time_loop(run_batch, batch, task.seconds)
    on_cuda = eager.device.type == "cuda"
    return Measurement(
        executed_precision=eager_precision(variant),
        device="accelerator" if on_cuda else "cpu",
        hardware=torch.cuda.get_device_name() if on_cuda else describe_cpu(),
        placement=None,
        versions={"torch": torch.__version__},
        build_seconds=0.0,
        open_seconds=open_seconds,
        timing=timing,
        device_memory_peak=torch.cuda.max_memory_reserved() if on_cuda else None,
        host_memory_peak=peak_memory(),
        labels=eager.labels(),
    )


def reference_labels(task: Task, model: str) -> Labels:
    """Return the label of eager FP32 of each of the task's draws, -1 where a logit is not finite; TF32 is off.

    Raises:
        PurecertError: The model cannot be read, or memory ran out.
    """
    return EagerModel(task, model, "TF32 off" if eager_device().type == "cuda" else "NCHW").labels()


def eager_device() -> torch.device:
    """Return where the field would run: on the GPU where PyTorch finds one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@torch.no_grad()
def draw_votes(
    network: nn.Module,
    image: Tensor,
    sigma: float,
    batch: int,
    classes: int,
    *,
    extra: Sequence[tuple[int, ...]] = (),
    layout: torch.memory_format = torch.contiguous_format,
) -> NDArray[np.int64]:
    """Return the counts [classes] of ``batch`` labels of ``image`` [C, H, W], of [0, 1] pixels, under fresh noise.

    Args:
        network: Logits of images on the [-1, 1] scale, and of standard normals of the shapes of ``extra``.
        image: On the device of the network.
        sigma: Noise std, in [0, 1] pixel units.
        batch: Rows.
        classes: Length of the result.
        extra: Shapes [k, C, H, W] of what a purifier that is random itself is fed.
        layout: Of the rows.
    """
    rows = image.repeat((batch, 1, 1, 1)).contiguous(memory_format=layout)
    rows = rows + torch.randn_like(rows) * sigma
    normals = [torch.randn((batch, *shape), device=rows.device) for shape in extra]
    predictions = network(2 * rows - 1, *normals).argmax(1)
    return np.bincount(predictions.cpu().numpy(), minlength=classes)


@final
class EagerModel:
    """The model of a task in one variant, on the device where the field would run it."""

    def __init__(self, task: Task, model: str, variant: Variant) -> None:
        """Load the model; the number of threads and TF32 hold for the whole process."""
        torch.set_num_threads(task.threads)
        if variant == "TF32 off":
            forbid_rounding()
        self._task, self._plan, self.device = task, read_plan(task.plan), eager_device()
        self._layout = torch.channels_last if variant == "channels-last" else torch.contiguous_format
        with pytorch_failures():
            self._module = fuse(load_model(model), task.sigma).to(self.device)
            if variant == "channels-last":
                self._module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stub

    def loop(self, batch: int) -> Callable[[], None]:
        """Return what adds one batch of votes on the task's first image to those before, as the field's loop does."""
        counts, image = np.zeros(self._plan.record.classes, np.int64), self.image(self._task.draws.images[0])

        def run_batch() -> None:
            counts[:] += self.votes(image, batch)

        return run_batch

    def image(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return ``pixels`` [C, H, W] as [0, 1] pixels on the device."""
        return torch.from_numpy(pixels).to(self.device) / GREY_LEVELS

    def votes(self, image: Tensor, batch: int) -> NDArray[np.int64]:
        """Return the counts [classes] of one batch of labels of what ``image`` returned, as ``draw_votes``."""
        record = self._plan.record
        extra = [entry.shape for entry in record.inputs[1:]]
        return draw_votes(
            self._module.network, image, self._task.sigma, batch, record.classes, extra=extra, layout=self._layout
        )

    def labels(self) -> Labels:
        """Return the label of each of the task's draws."""
        task, found = self._task, []
        for rows in noisy_rows(self._plan, task.sigma, task.draws, task.threads, _LABELLED_ROWS):
            with torch.inference_mode(), pytorch_failures():
                tensors = [torch.from_numpy(row).to(self.device, torch.float32) for row in rows]
                tensors[0] = tensors[0].contiguous(memory_format=self._layout)
                found.append(self._module(*tensors)[0].cpu().numpy())
        return np.concatenate(found).astype(np.int64)


def eager_precision(variant: Variant) -> str:
    """Return the precision of convolutions: torch's defaults run them in TF32 where the GPU has it."""
    has_tf32 = variant == "torch's defaults" and torch.cuda.get_device_capability() >= _FIRST_WITH_TF32
    return "tf32" if has_tf32 else "fp32"

"""The exported program in eager PyTorch on the CPU."""

import io
from collections.abc import Sequence
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int32
from numpy.typing import NDArray

from purecert.engine.backends.base import BackendOptions
from purecert.engine.backends.failures import pytorch_failures
from purecert.engine.backends.graph import HostGraph, Opened, input_buffers
from purecert.engine.backends.host import open_on_host
from purecert.engine.backends.torch.state import refuse_state
from purecert.engine.errors import BackendError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import Plan
from purecert.engine.plans.trust import read_trusted


def open_torch(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
    """Return the plan's program of ``sigma``, run operator by operator on the host; raises as ``TorchGraph``."""
    graph = TorchGraph(plan, sigma, options.batch, options.threads, trust=options.trust)
    return open_on_host(plan, noise, graph)


@final
class TorchGraph(HostGraph):
    """The program that the plan's ONNX graph was made from, run operator by operator."""

    def __init__(self, plan: Plan, sigma: float, batch: int, threads: int, *, trust: bool) -> None:
        """Open the program of ``sigma``.

        ``torch.export.load`` runs code from the file, so only a file with this machine's tag is loaded, or any file
        with ``trust``. The thread count holds for the whole process.

        Raises:
            InputError: The program is absent or not this machine's.
            BackendError: PyTorch cannot load the program.
            CheckError: The program keeps something from batch to batch.
        """
        plan.check_program()
        content = read_trusted(plan.cached_program(sigma), plan.graph(sigma).sha256, trust=trust)
        torch.set_num_threads(threads)
        try:
            exported = torch.export.load(io.BytesIO(content))
            self._program = exported.module()
        except Exception as error:  # loading may raise anything that the file's content provokes
            raise BackendError(f"PyTorch {torch.__version__} cannot load the program: {error}; export again") from error
        refuse_state(exported)
        self._precision, self._digest = plan.record.precision, sha256_hex(content)
        self._inputs = input_buffers(plan.record.inputs, batch)
        self._tensors = tuple(torch.from_numpy(buffer) for buffer in self._inputs)

    @property
    def inputs(self) -> Sequence[NDArray[np.generic]]:
        return self._inputs

    def labels(self) -> Int32[np.ndarray, " batch"]:
        label, self._logits = self._run()
        return np.asarray(label.numpy())

    def logits(self) -> Float[np.ndarray, "batch classes"] | None:
        return np.asarray(self._logits.numpy())

    @property
    def digest(self) -> str:
        return self._digest

    @property
    def executed_precision(self) -> str:
        return self._precision

    @property
    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__}

    def close(self) -> None:
        del self._program

    def _run(self) -> tuple[torch.Tensor, torch.Tensor]:
        with pytorch_failures(), torch.inference_mode():
            label, logits = self._program(*self._tensors)
        return label, logits

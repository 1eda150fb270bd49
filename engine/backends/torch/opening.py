"""Opening a plan's compiled program on one of PyTorch's queues."""

from collections.abc import Sequence

from purecert.engine.backends.device.opening import open_device
from purecert.engine.backends.opened import Opened
from purecert.engine.backends.torch.compile import open_program
from purecert.engine.backends.torch.program import TorchProgram
from purecert.engine.backends.torch.queue import CudaQueue, HostQueue
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import Plan


def open_torch_device(
    plan: Plan, sigma: float, noise: Sequence[InputNoise], batch: int, threads: int, *, on_gpu: bool, trust: bool
) -> Opened:
    """Return the plan's program of ``sigma``, compiled for the GPU or for ``threads`` processors of the host.

    Raises:
        InputError: The program is absent or not this machine's.
        BackendError: There is no such device, or the program cannot run there.
        OutOfMemoryError: The batch is too large for the device.
    """
    queue = CudaQueue() if on_gpu else HostQueue(threads)

    def load() -> TorchProgram:
        return TorchProgram(open_program(plan, sigma, batch, queue, trust=trust), plan.record.precision)

    return open_device(plan, noise, queue, load)

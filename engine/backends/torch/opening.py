"""Opening a plan's compiled program on one of PyTorch's queues."""

from collections.abc import Sequence

from purecert.engine.backends.device.opening import open_device
from purecert.engine.backends.graph import Opened
from purecert.engine.backends.registry import BackendOptions
from purecert.engine.backends.torch.compile import open_program
from purecert.engine.backends.torch.program import TorchProgram
from purecert.engine.backends.torch.queue import CudaQueue, HostQueue
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import Plan


def open_torch_device(plan: Plan, sigma: float, noise: Sequence[InputNoise], options: BackendOptions) -> Opened:
    """Return the plan's program of ``sigma``, compiled for the GPU (torch-cuda) or for the host (torch-compiled).

    Raises:
        InputError: The program is absent or not this machine's.
        BackendError: There is no such device, or the program cannot run there.
        OutOfMemoryError: The batch is too large for the device.
    """
    queue = CudaQueue() if options.name == "torch-cuda" else HostQueue(options.threads)

    def load() -> TorchProgram:
        compiled = open_program(plan, sigma, options.batch, queue, trust=options.trust)
        return TorchProgram(compiled, plan.record.precision)

    return open_device(plan, noise, queue, load)

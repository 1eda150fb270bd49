"""Opening a plan on a device: the compiled program, its noise, and one repeatable step of both."""

from collections.abc import Sequence

from purecert.engine.backends.base import BackendInfo
from purecert.engine.backends.device.kernels import load_kernels
from purecert.engine.backends.device.loop import DeviceBackend, max_pieces
from purecert.engine.backends.device.program import open_program
from purecert.engine.backends.device.queue import DeviceQueue
from purecert.engine.backends.device.step import DeviceStep, ProbedProgram
from purecert.engine.backends.graph import pytorch_failures
from purecert.engine.backends.opened import Opened
from purecert.engine.noise_inputs import InputNoise
from purecert.engine.plan import Plan

_SLOTS = 64  # images at once: where each asks for few draws, their rows together still fill a submission


def open_device(
    plan: Plan, sigma: float, noise: Sequence[InputNoise], batch: int, queue: DeviceQueue, *, trust: bool
) -> Opened:
    """Return the plan's graph of ``sigma`` opened on the device of ``queue``.

    Raises:
        InputError: The program is absent or not this machine's.
        BackendError: Kernels or program cannot run there.
        OutOfMemoryError: The batch is too large for the device.
    """
    load_kernels(queue.device)  # before the minutes that compiling may take
    with pytorch_failures():
        program = open_program(plan, sigma, batch, queue, trust=trust)

    def backend(info: BackendInfo) -> DeviceBackend:
        with pytorch_failures():
            step = DeviceStep(queue, program, noise, plan.record, _SLOTS, max_pieces())
        return DeviceBackend(step, info, program.build_seconds)

    return Opened(graph=ProbedProgram(queue, program, plan.record), hardware=queue.hardware(), backend=backend)

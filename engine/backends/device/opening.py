"""Opening a plan on a device: the graph that was made for it, its noise, and one repeatable step of both."""

import traceback
from collections.abc import Callable, Sequence

from purecert.engine.backends.base import BackendInfo
from purecert.engine.backends.device.loop import DeviceBackend, max_pieces
from purecert.engine.backends.device.program import DeviceProgram
from purecert.engine.backends.device.queue import DeviceQueue
from purecert.engine.backends.device.step import DeviceStep, ProbedProgram
from purecert.engine.backends.graph import Opened
from purecert.engine.errors import PurecertError
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.plans.plan import Plan

_SLOTS = 64  # images at once: where each asks for few draws, their rows together still fill a submission


def _forget(error: BaseException | None) -> None:
    """Free what the failed calls held: a runtime's objects must not outlive the queue that they work on."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__context__


def open_device(
    plan: Plan, noise: Sequence[InputNoise], queue: DeviceQueue, load: Callable[[], DeviceProgram]
) -> Opened:
    """Return the program that ``load`` loads on ``queue``, opened with its noise.

    Raises:
        BackendError: The program cannot run there.
        OutOfMemoryError: The batch is too large for the device.
    """
    try:
        with queue.failures():
            program = load()
    except PurecertError as error:
        _forget(error)
        queue.close()
        raise

    def backend(info: BackendInfo) -> DeviceBackend:
        with queue.failures():
            program.end_probe()
            step = DeviceStep(queue, program, noise, plan.record, _SLOTS, max_pieces())
        return DeviceBackend(step, info)

    return Opened(graph=ProbedProgram(queue, program), hardware=queue.hardware(), backend=backend)

"""Which kernels the compiled network's time goes to, as PyTorch's profiler sees them."""

import re
from typing import Any

import click
import numpy as np
import torch
from gpu.record import print_table, write_record
from gpu.setting import SEED, SIGMA, open_queue, read_setting
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile

from purecert.engine.backends.torch.compile import open_program
from purecert.engine.backends.torch.program import CompiledProgram
from purecert.engine.backends.torch.queue import TorchQueue
from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import BackendError
from purecert.engine.plans.plan import read_plan

_RUNS = 5
_ROWS = 60  # of the table
# The first that is found in a kernel's name. Inductor names its own kernels by what they do: reductions (red, per: the
# norms and softmaxes) and pointwise work (poi).
_KINDS = (
    ("attention", r"flash|fmha|attention|softmax"),
    ("convolution", r"conv|fprop|implicit_gemm|cudnn.*(nhwc|nchw)"),
    ("matmul", r"gemm|nvjet|cutlass|cublas|triton_tem|triton_mm|addmm|matmul|\bmm\b"),
    ("norm and reduction", r"triton_(red|per)|norm|reduce"),
    ("elementwise", r"triton_(poi|for)|elementwise|copy|fill|transpose|nchwToNhwc|nhwcToNchw|mem(cpy|set)"),
)


@click.command(cls=EngineCommand)
@click.argument("name")
def main(name: str) -> None:
    """Profile the compiled network of plan NAME, run without a graph so that every kernel has its name."""
    setting = read_setting()
    queue, plan = open_queue(setting), read_plan(setting.plan(name))
    program = open_program(plan, SIGMA, setting.batch, queue, trust=False)
    events = _profile(queue, program)
    setting.results.mkdir(parents=True, exist_ok=True)
    device = "cpu" if queue.device.type == "cpu" else "device"
    text = events.table(sort_by=f"self_{device}_time_total", row_limit=_ROWS, max_name_column_width=100)
    (setting.results / f"profile-{name}.txt").write_text(text + "\n")
    kernels = _kernels(events, device)
    kinds = _shares(kernels)
    numbers = {"batch": setting.batch, "runs": _RUNS, "microseconds_of_a_run": sum(kernels.values()), "shares": kinds}
    write_record(setting, f"profile-{name}", numbers | {"kernels": dict(list(kernels.items())[:_ROWS])})
    print_table(("kernel", "us a run"), [(key[:100], f"{us:.1f}") for key, us in list(kernels.items())[:12]])
    print_table(("kind", "share"), [(kind, f"{share:.1%}") for kind, share in kinds.items()])


def _profile(queue: TorchQueue, program: CompiledProgram) -> Any:
    """Return the averaged events of the runs, on rows that are not zero."""
    random = np.random.default_rng(SEED)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (queue.device.type == "cuda")
    with queue.entered(), torch.inference_mode():
        for rows in program.inputs:
            rows.copy_(torch.from_numpy(random.integers(-200, 456, rows.shape).astype(np.float32)))
        for _ in range(3):
            program.run()
        queue.mark()()
        with profile(activities=activities) as profiler:
            for _ in range(_RUNS):
                program.run()
            queue.mark()()
    return profiler.key_averages()


def _kernels(events: Any, device: str) -> dict[str, float]:
    """Return the microseconds of a run in each kernel, the longest first; on a CPU, of operators."""
    wanted = DeviceType.CPU if device == "cpu" else DeviceType.CUDA
    found = {
        event.key: getattr(event, f"self_{device}_time_total") / _RUNS
        for event in events
        if event.device_type == wanted and not event.is_user_annotation
    }
    if not sum(found.values()) > 0:
        raise BackendError("expected the profiler to see the network's kernels, it saw none; is CUPTI allowed here?")
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _shares(kernels: dict[str, float]) -> dict[str, float]:
    """Return the share of each kind; what no pattern knows is "other"."""
    shares = dict.fromkeys([*(kind for kind, _ in _KINDS), "other"], 0.0)
    for name, microseconds in kernels.items():
        kind = next((kind for kind, pattern in _KINDS if re.search(pattern, name, re.IGNORECASE)), "other")
        shares[kind] += microseconds / sum(kernels.values())
    return shares


if __name__ == "__main__":
    main()

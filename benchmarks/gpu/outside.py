"""The share of a step's time outside the network: noise and votes on the device, and gaps that the host leaves."""

from contextlib import closing
from dataclasses import asdict

import click
from gpu.captured import CapturedStep
from gpu.record import print_table, write_record
from gpu.setting import SEED, SIGMA, Setting, backend_options, open_queue, read_setting

from purecert.engine.backends.opening import open_backend
from purecert.engine.bench.timing import time_backend
from purecert.engine.commands.console import EngineCommand
from purecert.engine.images.datasets import Dataset, load_dataset
from purecert.engine.plans.plan import Plan, read_plan

_SAMPLES = 60
_SECONDS = 10.0


@click.command(cls=EngineCommand)
@click.argument("name")
def main(name: str) -> None:
    """Measure plan NAME: parts of a batch on the device, then the backend's stream of submissions by the clock."""
    setting = read_setting()
    plan, data = read_plan(setting.plan(name)), load_dataset(setting.data(name))
    parts = CapturedStep(open_queue(setting), plan, data, setting.batch).measure(setting.pick(_SAMPLES, 3))
    wall = _seconds_of_a_batch(setting, plan, data)
    step = parts.step.median
    outside, gaps = 1 - parts.network.median / step, 1 - step / wall
    shares = {"outside_network_share": outside, "host_gap_share": gaps, "in_all": 1 - parts.network.median / wall}
    record = {"batch": setting.batch, "seconds_of_a_batch": asdict(parts), "wall_seconds_of_a_batch": wall, **shares}
    write_record(setting, f"outside-{name}", record)
    rows = [(part, f"{1e3 * s['median']:.4f}", f"{1e3 * s['p90']:.4f}") for part, s in asdict(parts).items()]
    print_table(("one batch", "ms, median", "ms, 90 %"), [*rows, ("by the clock", f"{1e3 * wall:.4f}", "")])
    print(f"outside the network {outside:.2%} of the device's time; host gaps {gaps:.2%} of the clock's")


def _seconds_of_a_batch(setting: Setting, plan: Plan, data: Dataset) -> float:
    """Return the time of a batch in a long stream of submissions, two in flight."""
    options = backend_options(setting, setting.backend)
    with closing(open_backend(plan, SIGMA, SEED, options, data.images, data.indices)) as backend:
        timing = time_backend(backend, data.images, data.indices, setting.pick(_SECONDS, 0.2))
    return timing.seconds * setting.batch / timing.rows


if __name__ == "__main__":
    main()

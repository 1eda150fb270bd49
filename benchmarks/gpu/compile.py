"""What compiling a plan takes at each batch; the result stays in the plan's cache for the steps that follow."""

import click
from gpu.record import print_table, write_record
from gpu.setting import SIGMA, open_queue, read_setting

from purecert.engine.backends.torch.compile import open_program
from purecert.engine.commands.console import EngineCommand
from purecert.engine.plans.plan import read_plan


@click.command(cls=EngineCommand)
@click.argument("name")
def main(name: str) -> None:
    """Compile plan NAME at every batch; those that are done stay where the step is cut short."""
    setting = read_setting()
    queue, plan, seconds = open_queue(setting), read_plan(setting.plan(name)), {}
    for batch in sorted({*setting.batches, setting.batch}):
        print(f"compiling at batch {batch}", flush=True)
        seconds[batch] = open_program(plan, SIGMA, batch, queue, trust=False).build_seconds
    write_record(setting, f"compile-{name}", {"build_seconds": seconds})
    print_table(("batch", "seconds"), list(seconds.items()))


if __name__ == "__main__":
    main()

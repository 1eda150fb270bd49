"""Whether the demo's plan sees the same noise on the GPU as on the CPU, and how many labels differ."""

from contextlib import closing

import click
import numpy as np
import torch
from gpu.noisy_batch import BatchShape, Images, NoisyBatch
from gpu.record import print_table, write_record
from gpu.setting import SEED, SIGMA, Setting, backend_options, open_queue, read_setting

from purecert.engine.backends.opening import open_backend
from purecert.engine.backends.packing import Piece
from purecert.engine.bench.agreement import SEED as BENCH_SEED
from purecert.engine.bench.agreement import Draws, Labels, backend_labels
from purecert.engine.commands.console import EngineCommand
from purecert.engine.errors import CheckError
from purecert.engine.images.datasets import load_dataset
from purecert.engine.noise.contract import ESTIMATE
from purecert.engine.noise.inputs import InputNoise
from purecert.engine.noise.table import smoothing_noise
from purecert.engine.plans.plan import Plan, read_plan

_DRAWS = 200  # of each of 100 images


@click.command(cls=EngineCommand)
def main() -> None:
    """Label the same draws through the GPU's backend and through torch on the CPU."""
    setting = read_setting()
    plan, data = read_plan(setting.plan("demo")), load_dataset(setting.data("demo"))
    draws = Draws(images=data.images, indices=data.indices, per_image=setting.pick(_DRAWS, 4))
    compared = _check_noise(setting, draws)
    on_gpu, on_cpu = (_labels(setting, plan, draws, name) for name in (setting.backend, "torch"))
    differing = int((on_gpu != on_cpu).sum())
    numbers = {
        "draws": len(draws),
        "noise_values_compared": compared,
        "differing_noise_values": 0,
        "differing_labels": differing,
    }
    write_record(setting, "agreement", numbers)
    print_table(tuple(numbers), [tuple(numbers.values())])


def _check_noise(setting: Setting, draws: Draws) -> int:
    """Refuse a single value that differs, for then no label could be compared; return how many were compared."""
    shape = BatchShape(rows=draws.per_image, row=draws.images.shape[1:], dtype=torch.float16, channels_last=True)
    noise = InputNoise(table=smoothing_noise(SIGMA), seed=SEED, purpose=0, threads=setting.threads)
    images = Images(pixels=draws.images, indices=draws.indices)
    batch = NoisyBatch(open_queue(setting), shape, noise, images)
    compared = 0
    for slot in range(len(draws.images)):
        pieces = [Piece(0, slot, ESTIMATE, 0, draws.per_image, 0)]
        found = batch.fill([pieces])[0]
        if not np.array_equal(found, batch.expected(pieces, noise)):
            raise CheckError(f"expected the CPU's noise on image {draws.indices[slot]}, got other values")
        compared += found.size
    return compared


def _labels(setting: Setting, plan: Plan, draws: Draws, backend: str) -> Labels:
    assert SEED == BENCH_SEED
    with closing(
        open_backend(plan, SIGMA, SEED, backend_options(setting, backend), draws.images, draws.indices)
    ) as opened:
        return backend_labels(opened, draws)


if __name__ == "__main__":
    main()

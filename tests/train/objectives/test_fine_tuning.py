"""Fine-tuning follows its equation on a consistency model and on an EDM denoiser, for any distance and sigma."""

import pytest
import torch

from purecert.train.distances.pixels import l1, l2
from purecert.train.fitting.draws import Draws
from purecert.train.objectives.fine_tuning import FineTuningObjective
from purecert.train.objectives.sigmas import DiscreteSigmas, UniformSigmas
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.purifiers.edm import EdmPurifier
from purecert.train.purifiers.karras import KarrasConfig
from support import written_out as ref

_NEAREST = {0.25: 0.58534953, 0.5: 1.08817188, 1.0: 1.92333962}  # of 2 sigma, on the published grid of 18 points


@pytest.mark.parametrize(("kind", "t_min"), [(ConsistencyPurifier, 0.002), (EdmPurifier, 0.0)])
@pytest.mark.parametrize("rule", ["exact", "nearest-2sigma"])
def test_the_fine_tuning_loss_is_its_equation(
    kind: type[ConsistencyPurifier | EdmPurifier], t_min: float, rule: str
) -> None:
    net, batch = ref.TinyNetwork(), ref.batch_of(rows=6, seed=4)
    config = KarrasConfig(sigma_data=0.6, time_rule="exact" if rule == "exact" else "nearest-2sigma")
    sigmas = DiscreteSigmas(values=(0.25, 0.5, 1.0))
    loss = FineTuningObjective(purifier=kind(config, net), sigmas=sigmas, distance=l1)(batch)
    draws = Draws(4, 6)
    chosen, noise = draws.category(torch.ones(3)), draws.normal(2, 2, 2)
    total = 0.0
    for row in range(6):
        sigma = (0.25, 0.5, 1.0)[int(chosen[row])]
        x = ref.pixels_of(batch.images[row])
        noisy = ref.plus(x, 2 * sigma, ref.pixels_of(noise[row]))
        clean = ref.denoised(net, noisy, 2 * sigma if rule == "exact" else _NEAREST[sigma], 0.6, t_min)
        total += ref.mean_absolute(clean, x) / 6
    assert loss.item() == pytest.approx(total, rel=1e-6)
    loss.backward()
    assert ref.reached(net)


def test_uniform_sigmas_fill_their_range_and_reach_the_purifier() -> None:
    net, batch = ref.TinyNetwork(), ref.batch_of(rows=4, seed=6)
    purifier = ConsistencyPurifier(KarrasConfig(), net)
    loss = FineTuningObjective(purifier=purifier, sigmas=UniformSigmas(), distance=l2)(batch)
    draws = Draws(6, 4)
    sigmas, noise = draws.uniform().tolist(), draws.normal(2, 2, 2)
    total = 0.0
    for row, sigma in enumerate(sigmas):
        x = ref.pixels_of(batch.images[row])
        noisy = ref.plus(x, 2 * sigma, ref.pixels_of(noise[row]))
        total += ref.mean_square(ref.denoised(net, noisy, 2 * sigma, 0.5, 0.002), x) / 4
    assert loss.item() == pytest.approx(total, rel=1e-6)


def test_sigmas_are_spread_as_they_say() -> None:
    drawn = UniformSigmas(low=0.2, high=0.8).draw(Draws(0, 4000))
    assert drawn.min() >= 0.2
    assert drawn.max() < 0.8
    assert float(drawn.mean()) == pytest.approx(0.5, abs=0.6 / 12**0.5 / 4000**0.5 * 4)
    some = DiscreteSigmas(values=(0.1, 0.9)).draw(Draws(0, 4000))
    assert set(some.tolist()) == {0.1, 0.9}
    assert float((some == 0.1).double().mean()) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("values", [(), (0.0,), (1.5,), (float("nan"),)])
def test_sigmas_outside_the_range_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"sigma in \(0, 1\]"):
        DiscreteSigmas(values=values)
    with pytest.raises(ValueError, match="low < high"):
        UniformSigmas(low=0.5, high=0.5)

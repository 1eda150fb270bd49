"""What the stages of the published recipes share, which take a large GPU or a server."""

from purecert.train.fitting.plans.averages import FixedDecay
from purecert.train.fitting.plans.fit import Fit
from purecert.train.fitting.plans.optimizers import RAdam
from purecert.train.fitting.plans.rates import Constant
from purecert.train.recipes.paper.recipe import StageName

AVERAGE = FixedDecay(share=0.9999)


def consistency_fit(stage: StageName, steps: int, learning_rate: float) -> Fit:
    """Return how consistency models are fitted: RAdam at a constant rate, in bf16 (Song et al. 2023, app. C)."""
    return Fit(
        stage=stage,
        steps=steps,
        learning_rate=learning_rate,
        optimizer=RAdam(),
        schedule=Constant(),
        average=AVERAGE,
        precision="bf16",
    )

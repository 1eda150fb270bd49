"""A plan at hand: certify and predict as its methods."""

from typing import Unpack, final

import numpy as np
from numpy.typing import NDArray

from purecert.engine.api.certifying import CertifyOptions, PathLike, PredictOptions, certify, load_plan, predict
from purecert.engine.api.run_result import RunResult
from purecert.engine.plans.plan import Plan


@final
class LoadedPlan:
    """A plan that answers for images: ``load(directory).certify(images, sigma=0.5)``."""

    def __init__(self, plan: Plan) -> None:
        """Answer by ``plan``."""
        self.plan = plan

    @property
    def sigmas(self) -> tuple[float, ...]:
        """Return the noise levels that the plan has a graph for, in pixel units of [0, 1]."""
        return tuple(graph.sigma for graph in self.plan.record.graphs)

    def certify(self, images: str | NDArray[np.uint8], **options: Unpack[CertifyOptions]) -> RunResult:
        """Return what ``purecert.certify`` returns of this plan; arguments and errors are the same."""
        return certify(self.plan, images, **options)

    def predict(self, images: str | NDArray[np.uint8], **options: Unpack[PredictOptions]) -> RunResult:
        """Return what ``purecert.predict`` returns of this plan; arguments and errors are the same."""
        return predict(self.plan, images, **options)


def load(directory: PathLike) -> LoadedPlan:
    """Return the plan in ``directory``, ready to certify and to predict.

    Raises:
        InputError: As ``load_plan``.
    """
    return LoadedPlan(load_plan(directory))

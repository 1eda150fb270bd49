"""A classifier of noisy images, as randomized smoothing without a purifier needs it (Cohen et al. 2019)."""

from dataclasses import dataclass
from typing import final

from torch import Tensor, nn
from torch.nn import functional

from purecert.train.fitting.draws import Batch
from purecert.train.objectives.objective import Objective
from purecert.train.objectives.sigmas import Sigmas, add_noise
from purecert.train.shapes import Labels, Logits


@final
@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NoisyClassifierObjective(Objective):
    """The cross entropy on images with Gaussian noise."""

    classifier: nn.Module
    preprocessing: nn.Module
    sigmas: Sigmas  # Cohen et al.: one level, that of the certificate
    label_smoothing: float = 0.0

    def __call__(self, batch: Batch) -> Tensor:
        noise = batch.draws.normal(*batch.images.shape[1:])
        noisy = add_noise(batch.images, noise, self.sigmas.draw(batch.draws))
        return cross_entropy(self.classifier(self.preprocessing(noisy)), batch.labels, self.label_smoothing)


def cross_entropy(logits: Logits, labels: Labels, smoothing: float = 0.0) -> Tensor:
    """Return the mean of -log softmax(logits)[label] (Cohen et al. 2019, section 3.3, of noisy images).

    The labels are mixed with uniform ones by ``smoothing``, in [0, 1).
    """
    return functional.cross_entropy(logits, labels, label_smoothing=smoothing)

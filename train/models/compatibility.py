"""Whether the parts of a model fit together, known before their weights are."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from purecert.engine.errors import InputError, one_line
from purecert.train.models.preprocessing import Preprocessing, PreprocessingConfig
from purecert.train.networks.conditioned import SigmaClassifier, at_sigma
from purecert.train.purifiers.base import Purifier
from purecert.train.purifiers.identity import IdentityPurifier
from purecert.train.strict.state import LIBRARIES_RAISE


def check_compatible(
    purifier: Purifier,
    classifier: nn.Module,
    preprocessing: nn.Module,
    input_shape: tuple[int, int, int],
    classes: int,
    where: str,
) -> None:
    """Refuse parts that do not follow from one another, by pushing a batch without content through them.

    Only shapes count: the modules may be on the meta device, and where they are not their weights are left alone.

    Args:
        purifier: In eval mode, as the other modules.
        classifier: Takes what ``preprocessing`` gives.
        preprocessing: Takes clean images.
        input_shape: Channels, height and width.
        classes: How many logits there must be.
        where: What the parts are of, for messages.

    Raises:
        InputError: Images of ``input_shape`` do not pass, or come out as another number of logits; or something
            stands before a classifier that is asked at the noise level of its input.
    """
    if isinstance(classifier, SigmaClassifier):
        _check_alone(purifier, preprocessing, input_shape, where)
    batch = torch.zeros(2, *input_shape, device="meta")
    noises = [torch.zeros(2, k, *input_shape, device="meta") for k in purifier.noise_inputs(0.0)]
    what = f"{where}: images of {list(input_shape)} do not pass through the purifier"
    clean = _push(lambda: _call(purifier, batch, 0.0, noises), what)
    what = f"{where}: clean images of {list(clean.shape[1:])} do not pass through the classifier"
    logits = _push(lambda: _call(at_sigma(classifier, 0.0), _call(preprocessing, clean)), what)
    if logits.shape != (2, classes):
        raise InputError(f"{where}: expected {classes} logits, the classifier gives {list(logits.shape[1:])}")


def _check_alone(purifier: Purifier, preprocessing: nn.Module, input_shape: tuple[int, int, int], where: str) -> None:
    """Refuse what would change the noise that a classifier is asked at: a purifier, another scale, a resize."""
    if not isinstance(purifier, IdentityPurifier):
        raise InputError(
            f"{where}: expected no purifier before a classifier that is asked at a noise level, "
            f"found {type(purifier).__name__}; use the identity purifier"
        )
    half = (0.5,) * input_shape[0]
    unchanged = PreprocessingConfig(mean=half, std=half)  # of [-1, 1] images, their own scale and size
    if not isinstance(preprocessing, Preprocessing) or preprocessing.config != unchanged:
        raise InputError(
            f"{where}: expected images as they are, with mean 0.5, std 0.5 and no resize, before a classifier that is "
            "asked at a noise level"
        )


def _call(module: nn.Module, *inputs: object) -> Tensor:
    """Return what the module makes of its inputs, without its weights' values."""
    weights = {name: value.to("meta") for name, value in (*module.named_parameters(), *module.named_buffers())}
    answer: Tensor = functional_call(module, weights, inputs)
    return answer


def _push(call: Callable[[], Tensor], what: str) -> Tensor:
    try:
        return call()
    except LIBRARIES_RAISE as error:
        reason = one_line(error)  # PyTorch's messages may have many lines
        raise InputError(f"{what}, since they do not fit: {reason}") from error

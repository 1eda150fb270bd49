"""What a classifier is given of the purified images: as its files record, or as the user chose; each choice is said."""

from dataclasses import replace
from typing import Literal, Protocol

from purecert.engine.errors import InputError
from purecert.train.importing.choices import Note, numbers
from purecert.train.importing.classifier import Classifier
from purecert.train.models.preprocessing import PreprocessingConfig
from purecert.train.readers.opened import on_one_line
from purecert.train.strict.configuration import build_config, override


class Choices(Protocol):
    """What the user chose of it; see ``ImportSpec``."""

    @property
    def mean(self) -> tuple[float, ...] | None: ...
    @property
    def std(self) -> tuple[float, ...] | None: ...
    @property
    def classifier_size(self) -> int | None: ...
    @property
    def resize(self) -> Literal["bilinear", "bicubic"] | None: ...


def prepared(classifier: Classifier, spec: Choices, size: int, note: Note) -> PreprocessingConfig:
    """Return the classifier's preprocessing for images of ``size``."""
    given = {name: getattr(spec, name) for name in ("mean", "std") if getattr(spec, name) is not None}
    if spec.classifier_size is not None:  # of whole images
        given |= {"size": spec.classifier_size, "crop": None}
    recorded = _recorded(classifier, spec)
    wanted = override(recorded, given, "classifier's normalisation")
    note(f"classifier's mean: {numbers(wanted.mean)} ({classifier.because if spec.mean is None else 'given'})")
    note(f"classifier's std: {numbers(wanted.std)} ({classifier.because if spec.std is None else 'given'})")
    if wanted.size in (None, size):
        wanted = replace(wanted, size=None)
        note("resize: none" + ("" if wanted.crop else f", the classifier sees images of {size} pixels"))
    else:
        wanted = _resized(wanted, wanted.size, classifier, spec, size, note)
    if recorded.crop is not None:
        kept = "none, whole images (size given)" if wanted.crop is None else f"the middle {wanted.crop[1]} pixels"
        note(f"crop: {kept}" + ("" if wanted.crop is None else f" ({classifier.because})"))
    return wanted


def _recorded(classifier: Classifier, spec: Choices) -> PreprocessingConfig:
    """Return what the classifier's files record of its input, or where they do not, what was given.

    Raises:
        InputError: Neither says it.
    """
    if classifier.preprocessing is not None:
        return classifier.preprocessing
    if spec.mean is None or spec.std is None:
        raise InputError("expected --mean and --std, since no file of the classifier records its input; give both")
    return build_config(PreprocessingConfig, {"mean": spec.mean, "std": spec.std}, "classifier's normalisation")


def _resized(
    wanted: PreprocessingConfig, target: int, classifier: Classifier, spec: Choices, size: int, note: Note
) -> PreprocessingConfig:
    interpolation, who = _choose_resize(classifier, spec, target)
    # Libraries that record a way of resizing mean an antialiased one.
    antialias = interpolation == "bicubic" or (spec.resize is None and classifier.resample is not None)
    how = interpolation + (", antialiased" if antialias else "")
    whose = f"{target}" if wanted.crop else f"the classifier's {target}"
    note(f"resize: {how}, from {size} pixels to {whose} ({who})")
    antialias = antialias and (interpolation == "bicubic" or size > target)
    return replace(wanted, interpolation=interpolation, antialias=antialias)


def _choose_resize(classifier: Classifier, spec: Choices, size: int) -> tuple[Literal["bilinear", "bicubic"], str]:
    """Return how images are brought to the classifier's ``size``, and who decided that."""
    if spec.resize is not None:
        return spec.resize, "given"
    if classifier.resample is None:
        return "bilinear", "the default, since no file records it"
    if classifier.resample == "none":
        raise InputError(
            f"expected images of {size} pixels, since the classifier's files record no resize; "
            f"give --image-size {size}, or --resize to resize all the same"
        )
    if classifier.resample == "bicubic":
        return "bicubic", classifier.because
    if classifier.resample == "bilinear":
        return "bilinear", classifier.because
    raise InputError(
        f"expected --resize, since the classifier's files record {on_one_line(classifier.resample)}, "
        "and purecert resizes bilinear or bicubic"
    )

"""What reading a classifier's checkpoint gives, whatever its kind."""

from pathlib import Path
from typing import NamedTuple, Protocol

from torch import nn

from purecert.train.importing.choices import Note, silent
from purecert.train.models.preprocessing import PreprocessingConfig


class Classifier(NamedTuple):
    """A classifier that was read, and what it wants to see."""

    network: nn.Module
    classes: int
    preprocessing: PreprocessingConfig | None  # None where no file says it
    because: str  # where the preprocessing comes from, in words
    image_size: int | None = None  # of the images that it was trained on, where its kind says so
    resample: str | None = None  # how images are resized for it, where its files say so; "none" for not at all
    class_names: tuple[str, ...] = ()  # empty where its files do not say them


class ReadClassifier(Protocol):
    """Reads a classifier from a file and what follows the colon of the kind's name."""

    def __call__(self, path: Path, name: str, note: Note = silent) -> Classifier: ...

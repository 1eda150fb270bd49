"""Files from elsewhere that a recipe may need: LPIPS's backbone, and the network that a transition starts from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import nn

from purecert.engine.errors import InputError
from purecert.train.distances.lpips import Lpips, LpipsConfig, PackageLpips
from purecert.train.distances.lpips_files import load_lpips
from purecert.train.models.checkpoints import load_model
from purecert.train.purifiers.consistency import ConsistencyPurifier
from purecert.train.recipes.paper.recipe import PaperRecipe, StageName


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Where they lie; None: not given."""

    lpips_weights: Path | None = None
    start_model: Path | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """What a model file says of them, by their digests."""
        given = {"LPIPS's backbone": self.lpips_weights, "the start": self.start_model}
        return tuple(f"{what}: SHA-256 {_digest(path)}" for what, path in given.items() if path is not None)

    def fingerprints(self, recipe: PaperRecipe, needs: Sequence[StageName]) -> dict[str, str]:
        """Return the digests of the files that decide the weights of what stands on these stages."""
        found = {}
        if any("lpips" in recipe.distances(stage) for stage in needs) and self.lpips_weights is not None:
            found["lpips"] = _digest(self.lpips_weights)
        if any("transition" in recipe.needs(stage) for stage in needs) and self.start_model is not None:
            found["start"] = _digest(self.start_model)
        return found

    def lpips(self, config: LpipsConfig) -> Lpips | PackageLpips:
        """Return LPIPS on the file given.

        Raises:
            InputError: It is missing, or of another network.
        """
        return load_lpips(config, self.lpips_weights)

    def start(self, config: Any) -> nn.Module:
        """Return the consistency model's network that a transition begins with.

        Raises:
            InputError: No model is given, or its network is of another shape.
        """
        if self.start_model is None:
            raise InputError(
                "the transition begins at a consistency model with a class token: import one by "
                "`engine-import` and name its model.pt with `--start FILE`"
            )
        purifier = load_model(self.start_model).purifier
        if not isinstance(purifier, ConsistencyPurifier) or purifier.network.config != config:
            found = (
                type(purifier).__name__
                if not isinstance(purifier, ConsistencyPurifier)
                else _differs(purifier.network.config, config)
            )
            raise InputError(f"{self.start_model}: expected the recipe's consistency model, found {found}")
        return purifier.network


def _differs(found: Any, asked: Any) -> str:
    if type(found) is not type(asked):
        return f"a {type(found).__name__}"
    names = [f.name for f in fields(asked) if getattr(found, f.name) != getattr(asked, f.name)]
    return f"another {names[0]}: {getattr(found, names[0])}"


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error

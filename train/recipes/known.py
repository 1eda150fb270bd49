"""The recipes by name."""

from dataclasses import replace
from typing import Any

from purecert.train.recipes.paper.recipe import PaperRecipe
from purecert.train.recipes.rrcm.recipe import RrcmRecipe


def paper_recipe(name: str, **changes: Any) -> PaperRecipe:
    """Return the recipe of this name, with ``changes`` to its fields.

    Raises:
        ValueError: There is none.
    """
    match name:
        case "fashion-mnist":
            from purecert.train.recipes.paper.fashion_mnist import FASHION_MNIST as RECIPE
        case "cifar10-small":
            from purecert.train.recipes.paper.cifar10 import CIFAR10_SMALL as RECIPE
        case "cifar10":
            from purecert.train.recipes.paper.cifar10 import CIFAR10 as RECIPE
        case "imagenet64":
            from purecert.train.recipes.paper.imagenet64 import IMAGENET64 as RECIPE
        case _:
            raise ValueError(f"expected a recipe of the paper, got {name!r}")
    return replace(RECIPE, **changes)


def rrcm_recipe(name: str, **changes: Any) -> RrcmRecipe:
    """Return the recipe of rRCM of this name, with ``changes`` to its fields.

    Raises:
        ValueError: There is none.
    """
    match name:
        case "rrcm-fashion-mnist":
            from purecert.train.recipes.rrcm.fashion_mnist import RRCM_FASHION_MNIST as RECIPE
        case "rrcm-cifar10-small":
            from purecert.train.recipes.rrcm.cifar10 import RRCM_CIFAR10_SMALL as RECIPE
        case "rrcm-cifar10":
            from purecert.train.recipes.rrcm.cifar10 import RRCM_CIFAR10 as RECIPE
        case "rrcm-imagenet":
            from purecert.train.recipes.rrcm.imagenet import RECIPE_B as RECIPE
        case "rrcm-imagenet-s":
            from purecert.train.recipes.rrcm.imagenet import RECIPE_S as RECIPE
        case _:
            raise ValueError(f"expected a recipe of rRCM, got {name!r}")
    return replace(RECIPE, **changes)

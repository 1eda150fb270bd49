"""What type a layer of an engine multiplies a product in, as far as the library's report shows.

A report names a layer's tensors and their types, and not which of its constants are which weights. Weights are known
again by name, extents or count; a library also pads them, lays several together, or cuts them in slices.
"""

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest

from purecert.engine.backends.tensorrt.network import Product, Weight
from purecert.engine.backends.tensorrt.report import LayerNote, TensorNote

Held = tuple[TensorNote, ...]  # the constants of a layer that can be weights of a product

_FLOATING = ("Half", "Float", "BFloat16", "quantised")


class Verdict(enum.Enum):
    """What a layer that names a product says of the product's type."""

    OWN = "the type that the product has in the network"
    OTHER = "another type"
    UNTOLD = "nothing"


def share_of(product: Product, layer: LayerNote, products: Sequence[Product]) -> LayerNote:
    """Return a layer without the constants that are surely weights of others of ``products`` that it computes too."""
    others = [other for other in products if other.node in layer.nodes and other is not product]
    taken = [held for other in others for held in _surely_held(layer, other)]
    own = _surely_held(layer, product)
    return replace(layer, constants=tuple(held for held in layer.constants if held in own or held not in taken))


def holders(layers: Sequence[LayerNote], product: Product) -> list[tuple[LayerNote, Held]]:
    """Return the layers that hold weights of ``product``, each with those, by the surest sign that any of them gives.

    Where there are such layers they are the ones that multiply: others prepare or finish what these do. Where there
    are none, all ``layers`` come back, with no weights.
    """
    for sign in _SIGNS:
        if found := [(layer, held) for layer in layers if (held := _held(layer, product, sign))]:
            return found
    return [(layer, ()) for layer in layers]


def judge(layer: LayerNote, product: Product, held: Held) -> Verdict:
    """Return what a layer that holds the weights ``held`` says of the type in which it multiplies ``product``.

    Types are the network's own, so a layer that reads one type computes in it, unless it holds a cast. A half
    product reads half, and what else it reads passes through a cast; an FP32 product reads FP32, or half through one.
    Where constants are its weights, one of them must have its type; where none is known to be, what the layer
    reads decides, unless all other constants speak against it.
    """
    own = _own_type(product)
    if held and all(constant.type != own for constant in held):
        # Beside a cast, what only has room for the weights may as well be a table of another node.
        return Verdict.OTHER if _surely_held(layer, product) or not _casts(layer) else Verdict.UNTOLD
    said = _read_for_half(layer) if product.in_half else _read_for_float(layer)
    if said is Verdict.OWN and product.weights and not held and not _may_hold(layer, own):
        return Verdict.UNTOLD
    return said


def contradicts(layer: LayerNote, product: Product) -> bool:
    """Return whether a layer that names a product can only be computing it in another type."""
    own, reads = _own_type(product), _read(layer)
    if not reads or own in reads:
        return False
    if not product.weights:
        return not _casts(layer)
    _, held = holders([layer], product)[0]
    held = held or tuple(constant for constant in _told(layer) if constant.is_matrix)
    return bool(held) and all(constant.type != own for constant in held)


def describe(layer: LayerNote, product: Product) -> str:
    """Return a layer with what it reads and holds for ``product``, for a message."""
    inputs = ", ".join(entry.type for entry in layer.inputs) or "nothing"
    weights = sorted({constant.type for constant in holders([layer], product)[0][1]})
    others = sorted({constant.type for constant in _told(layer)})
    held = f"weights {', '.join(weights)}" if weights else f"constants {', '.join(others) or 'none'}"
    return f"{layer.described()} (reads {inputs}; {held})"


def _has_name(constant: TensorNote, weight: Weight) -> bool:
    return constant.name == weight.name or constant.name.startswith(f"{weight.name}_constant")


def _has_extents(constant: TensorNote, weight: Weight) -> bool:
    wanted = _large(weight.extents)
    return bool(wanted) and _large(constant.extents) == wanted


def _has_count(constant: TensorNote, weight: Weight) -> bool:
    return weight.elements > 1 and constant.elements == weight.elements


def _has_room(constant: TensorNote, weight: Weight) -> bool:
    """Return whether the weight may be a part of the constant: padded, or laid together with others."""
    if weight.elements <= 1 or not constant.is_matrix:
        return False
    if not constant.extents:
        return constant.elements > weight.elements
    pairs = zip_longest(_large(constant.extents), _large(weight.extents), fillvalue=1)
    return all(held >= wanted for held, wanted in pairs)


# The surest first.
_SIGNS = (_has_name, _has_extents, _has_count, _has_room)


def _held(layer: LayerNote, product: Product, sign: Callable[[TensorNote, Weight], bool]) -> Held:
    return tuple(held for held in _floats(layer) if any(sign(held, weight) for weight in product.weights))


def _surely_held(layer: LayerNote, product: Product) -> Held:
    return next((held for sign in _SIGNS[:-1] if (held := _held(layer, product, sign))), ())


def _own_type(product: Product) -> str:
    return "Half" if product.in_half else "Float"


def _large(extents: tuple[int, ...]) -> list[int]:
    """Return the extents above 1, largest first: libraries turn weights and drop what is 1."""
    return sorted((extent for extent in extents if extent > 1), reverse=True)


def _floats(layer: LayerNote) -> Iterator[TensorNote]:
    return (constant for constant in layer.constants if constant.type in _FLOATING)


def _told(layer: LayerNote) -> list[TensorNote]:
    """Return the floating constants that tell something: single numbers are scales, in FP32 beside half products."""
    return [constant for constant in _floats(layer) if constant.elements > 1]


def _may_hold(layer: LayerNote, type_: str) -> bool:
    """Return whether the constants leave it open that weights of a type, or slices of them, are among them."""
    others = {constant.type for constant in _told(layer)}
    return not others or type_ in others


def _read(layer: LayerNote) -> set[str]:
    """Return the floating types that a layer reads; where it reads no data, it multiplies its constants."""
    return {entry.type for entry in layer.inputs if entry.type in _FLOATING} or {held.type for held in _told(layer)}


def _read_for_half(layer: LayerNote) -> Verdict:
    reads = _read(layer)
    if "Half" in reads and (reads == {"Half"} or _casts(layer)):
        return Verdict.OWN
    return Verdict.UNTOLD if _casts(layer) or not reads else Verdict.OTHER


def _read_for_float(layer: LayerNote) -> Verdict:
    reads = _read(layer)
    if "Float" in reads:
        return Verdict.OWN
    if "Half" in reads and _casts(layer):
        holds_float = any(constant.type == "Float" for constant in _floats(layer))
        return Verdict.OWN if holds_float else Verdict.UNTOLD
    return Verdict.OTHER if reads else Verdict.UNTOLD


def _casts(layer: LayerNote) -> bool:
    """Return whether a layer holds a cast: FP32 meets half through nothing else."""
    return "Cast" in layer.name

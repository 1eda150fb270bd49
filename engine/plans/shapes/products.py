"""Shapes of matrix products and attention."""

from purecert.engine.plans.shapes.extents import ONE, Extent, Shape, ShapeError, broadcast, quotient, times
from purecert.engine.plans.shapes.reading import Call


def matrix_product(call: Call) -> list[Shape]:
    """MatMul and MatMulInteger."""
    return [multiplied(call.shape(), call.shape(1))]


def quantised_product(call: Call) -> list[Shape]:
    """QLinearMatMul: input 4 has the second factor."""
    return [multiplied(call.shape(), call.shape(3))]


def multiplied(left: Shape, right: Shape) -> Shape:
    """Return the shape of a matrix product; a vector has a row or a column that goes again.

    Raises:
        ShapeError: The factors do not fit.
    """
    if not left or not right:
        raise ShapeError("multiplies a value without axes")
    rows = left[-2:-1]
    columns = right[-1:] if len(right) > 1 else ()
    if left[-1] != right[-2 if len(right) > 1 else -1]:
        raise ShapeError("multiplies matrices whose sizes do not fit")
    return (*broadcast(left[:-2], right[:-2]), *rows, *columns)


def affine(call: Call) -> list[Shape]:
    """Gemm."""
    left, right = call.shape(), call.shape(1)
    if len(left) != 2 or len(right) != 2:
        raise ShapeError("multiplies what is no matrix")
    left = left[::-1] if call.integer("transA", 0) else left
    right = right[::-1] if call.integer("transB", 0) else right
    return [multiplied(left, right)]


def einsum(call: Call) -> list[Shape]:
    """Einsum, without an ellipsis."""
    terms, found = einsum_terms(call)
    return [tuple(found[letter] for letter in terms[-1])]


def einsum_terms(call: Call) -> tuple[list[str], dict[str, Extent]]:
    """Return the letters of every input and of the output, and the size of each.

    Raises:
        ShapeError: The equation is none, or does not fit the inputs.
    """
    equation = call.text("equation", "").replace(" ", "")
    left, arrow, right = equation.partition("->")
    inputs = left.split(",")
    letters = "".join(inputs)
    if not all(letter.isascii() and letter.isalpha() for letter in letters + right) or len(inputs) != len(call.inputs):
        raise ShapeError("has an equation that is not made of one letter an axis")
    if not arrow:
        right = "".join(letter for letter in sorted(set(letters)) if letters.count(letter) == 1)
    sizes: dict[str, Extent] = {}
    for index, term in enumerate(inputs):
        shape = call.shape(index)
        if len(shape) != len(term):
            raise ShapeError("has an equation for values of another rank")
        for letter, size in zip(term, shape, strict=True):
            (sizes[letter],) = broadcast((sizes.get(letter, ONE),), (size,))
    if not set(right) <= sizes.keys() or len(set(right)) < len(right):
        raise ShapeError("has an equation whose result has letters of its own")
    return [*inputs, right], sizes


def attention(call: Call) -> list[Shape]:
    """Attention without a past: as the queries, in the width of the values."""
    query, key, value = (call.shape(index) for index in range(3))
    if len(query) not in (3, 4) or not len(query) == len(key) == len(value):
        raise ShapeError("attends with values of another rank")
    if any(call.given(index) is not None for index in range(4, len(call.inputs))):
        raise ShapeError("attends to a past, which no row has")
    if len(query) == 4:
        return [(*query[:3], value[3])]
    heads, of_values = (Extent(0, max(call.integer(f"{name}_num_heads", 0), 0)) for name in ("q", "kv"))
    return [(*query[:2], times([quotient(value[2], of_values), heads]))]

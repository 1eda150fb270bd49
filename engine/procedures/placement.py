"""A sampling plan under static placement: whole batches of draws, in which every place occurs equally often.

Where a row's result depends on its place in the batch, draws are of as many laws as there are places. What is certified
is then the uniform mixture over places, and its bounds hold at whole batches only (docs/placement.md has the proofs).
"""

from dataclasses import replace

from purecert.engine.errors import InputError
from purecert.engine.procedures.spec import MAX_PLACED_ALPHA, SmoothingSpec


def placed(spec: SmoothingSpec, *, is_static: bool, batch: int) -> SmoothingSpec:
    """Return ``spec`` as it is run at ``batch``: under static placement with draws rounded up to whole batches.

    Args:
        spec: As asked for; one that was returned from here before is returned as it is.
        is_static: Whether a row's result depends on its place in the batch.
        batch: Rows of a batch.

    Raises:
        InputError: The rounded draws are more than can be addressed or leave nothing to extend to, or alpha is more
            than static placement allows.
    """
    if not is_static:
        return replace(spec, step=1)
    n_select = _whole(spec.n_select, batch) if spec.selects else spec.n_select
    # A table takes all draws to have one law, so it is for rows that may lie anywhere; the bound for every n is not.
    stop = spec.stop and replace(spec.stop, price=None, tables=())
    n, extension = _whole(spec.n_estimate, batch), spec.extension
    if extension is not None:
        first, last = _whole(extension.n_first, batch), _whole(extension.n_last, batch)
        if first == last:
            raise InputError(
                f"expected draws to extend to beyond the batch in which the first ones end, got {extension.n_first} "
                f"and {extension.n_last}, both rounded up to {last} since a row's result may depend on its place in a "
                f"batch of {batch}; ask for more draws, or for a smaller batch"
            )
        extension = replace(extension, n_first=first, n_last=last)
    return replace(spec, step=batch, n_select=n_select, n_estimate=n, stop=stop, extension=extension)


def misfit(spec: SmoothingSpec, *, is_static: bool, batch: int) -> str | None:
    """Return what of ``spec`` does not fit the placement that a run recorded; None where it fits.

    A spec itself says that its draws are whole multiples of its step; here is whether the step is the right one. Runs
    of schema purecert.run/4 and older have step 1 under static placement too: their draws may end inside a batch.
    """
    step = batch if is_static else 1
    if is_static and spec.tables:
        return "expected no stopping tables under static placement, where draws have as many laws as there are places"
    if spec.step == step:
        return None
    placement = f"static placement in batches of {batch}" if is_static else "row-invariant placement"
    return f"expected draws and looks at multiples of {step} under {placement}, found multiples of {spec.step}"


def is_sound(spec: SmoothingSpec, *, is_static: bool, batch: int) -> bool:
    """Return whether the claims of ``spec`` hold under a placement that it may not fit (docs/placement.md).

    A fixed n that ends inside a batch bounds the mixture of the places that its draws met; looks there bound nothing.
    """
    if is_static and spec.tables:
        return False
    is_fixed = spec.mode == "certify" and (spec.stop, spec.extension) == (None, None) and spec.alpha <= MAX_PLACED_ALPHA
    return misfit(spec, is_static=is_static, batch=batch) is None or (is_static and is_fixed)


def _whole(draws: int, batch: int) -> int:
    return -(-draws // batch) * batch

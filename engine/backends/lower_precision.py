"""What a processor needs to compute a plan in lower precision as the export gate measured it."""

from purecert.engine.errors import BackendError
from purecert.engine.hardware import cpu_flags
from purecert.engine.plans.plan import Precision

# Linux's names of the instructions. Without them a runtime emulates bf16, and 16-bit sums of INT8 products may end at
# their largest number: another function than where the plan was exported.
_NEEDED: dict[Precision, tuple[str, ...]] = {
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp"),
}


def has_instructions(precision: Precision) -> bool:
    """Return whether this processor multiplies in ``precision``, as far as Linux tells; always in FP32 and FP16."""
    return precision not in _NEEDED or not cpu_flags().isdisjoint(_NEEDED[precision])


def require_instructions(precision: Precision) -> None:
    """Refuse a plan of a precision that this processor does not multiply in.

    Raises:
        BackendError: It lacks the instructions.
    """
    if not has_instructions(precision):
        wanted = " or ".join(_NEEDED[precision])
        raise BackendError(
            f"this processor does not multiply in {precision} (none of {wanted}), so the plan's votes would be others "
            "than the export gate measured; export with --precision fp32"
        )

"""Edits of a run whose draws were continued: of the split of alpha, and of what a line says of its two looks.

And of what a run says that its images were before it was continued to more.
"""

from typing import Any, Final

from support.edit_forms import HUGE, REFUSED, Edit, Lines, Record, on_first_line, set_field

_OF: Final = ("extended",)


def _looks(*looks: list[int]) -> Any:
    return lambda line: line.update(stops=list(looks))


def _extents(*images: int) -> list[dict[str, Any]]:
    return [{"slice": f"[0:{count}] of 360", "images": count, "fingerprint": "f" * 64} for count in images]


def _as_begun(record: Record, lines: Lines) -> None:
    """Give the continued run out for one whose draws were not continued."""
    record["spec"]["extension"] = None
    for line in lines:
        line.pop("stops", None)
        line["looks"] = 1


EXTENSION_EDITS: Final = (
    *(
        on_first_line(f"looks of continued draws {looks!r:.60}", _looks(*looks), _OF)
        for looks in (
            [],
            [[300, 300]],
            [[600, 600]],
            [[300, 299], [600, 600], [600, 600]],
            [[300, 301], [600, 600]],
            [[300, 299], [600, 600]],  # 301 successes in 300 draws
            [[300, -1], [600, 600]],
            [[299, 299], [600, 600]],
            [[300, 300], [600, 599]],
            [[300, HUGE], [600, 600]],
            [[300, 300], [HUGE, 600]],
        )
    ),
    on_first_line("no looks of continued draws", lambda line: line.pop("stops"), _OF),
    Edit(name="all of alpha at the last look", mutate=_as_begun, seen=REFUSED, of=_OF),
    set_field("spec.extension", None, of=_OF),
    set_field("spec.extension", {}, of=("fixed", "extended")),
    set_field("spec.extension", {"n_first": 300, "n_last": 600, "alpha_first": 4e-4}, of=("fixed", "radii", "votes")),
    set_field("spec.n_estimate", 300, of=_OF),
    *(set_field("data.earlier", _extents(*images), of=("fixed",)) for images in ((3,), (6,), (0,), (3, 2), (HUGE,))),
    set_field("data.earlier", _extents(*range(1, 102)), of=("fixed",)),
    *(set_field("spec.extension.n_first", value, of=_OF) for value in (299, 600, 0, -1, HUGE)),
    *(set_field("spec.extension.n_last", value, of=_OF) for value in (601, 300, 2**32, HUGE)),
    *(set_field("spec.extension.alpha_first", value, of=_OF) for value in (5e-4, 1e-3, 0.0, -1e-4, 0.5, HUGE)),
)

"""What a reader must know before trusting a run's numbers."""

from collections.abc import Iterator

from purecert.engine.records.run_record import RunRecord

_FULL_ROW_CHECK = 1000


def marks_of(record: RunRecord, images: int) -> tuple[str, ...]:
    """Return the marks of a run of which ``images`` are finished."""
    return tuple(_marks(record, images))


def _marks(record: RunRecord, images: int) -> Iterator[str]:
    if images < record.data.images:
        yield f"incomplete: {images} of {record.data.images} images are finished, and only they are counted"
    if record.spec.against_label:
        yield "class given: label; nothing is claimed of other classes"
    if record.seed_given:
        yield "seed given: it was chosen by hand, so models could have been tuned on its draws"
    if record.parity_reduced:
        yield "parity reduced: the export gate compared fewer draws than its default"
    if record.data.quantised:
        yield "quantised data: the source holds floats; the certificates speak of their 8-bit roundings"
    yield from _backend_marks(record)


def _backend_marks(record: RunRecord) -> Iterator[str]:
    backend = record.backend
    if not record.gated:
        yield f"not gated: no export gate measured {backend.name} in {backend.executed_precision}"
    if backend.executed_precision != record.precision:
        yield f"executed precision: {backend.executed_precision}, where the plan says {record.precision}"
    if backend.placement != "row_invariant":
        yield f"not row-invariant: certified image after image, in batches of {backend.batch} at fixed places"
    if backend.probed != "logits":
        yield f"rows checked by {backend.probed} only: the graph holds no logits to compare"
    if backend.probe_rows < _FULL_ROW_CHECK:
        yield f"row check reduced: {backend.probe_rows} rows, where {_FULL_ROW_CHECK} are the default"
    if backend.trusted:
        yield "not checked: cached programs were loaded without this machine's tag (--trust-plan)"

"""A run that is continued to more images: its record names what it was before, so that lines of then keep their bytes.

Each line of the ledger carries the digest of the run.json that it was written under. A run that grows gets a new one,
which differs from the one before in the images alone and lists those it had. So the older run.json follows from the
newer, byte for byte, and with it the digest that each line must carry at its place: lines of another plan, seed or
option, or of images that are not the first of these, carry another.
"""

import json
import re
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from purecert.engine.errors import InputError
from purecert.engine.files.canonical import sha256_hex
from purecert.engine.files.strict_json import parse_json
from purecert.engine.images.datasets import Dataset
from purecert.engine.records.run_record import DataRecord, EarlierImages, RunRecord

_LONG_LIST = re.compile(r"\[(?:\s+-?\d+,){8,}\s+-?\d+\s+\]")  # as of a stopping table


def run_json(value: dict[str, Any]) -> bytes:
    """Return the bytes of run.json with these fields.

    Raises:
        TypeError: A value has no place in JSON.
        ValueError: A number is not finite.
    """
    text = json.dumps(value, indent=1, allow_nan=False)
    return (_LONG_LIST.sub(_on_one_line, text) + "\n").encode()


def line_digests(content: bytes, record: RunRecord) -> Callable[[int], str]:
    """Return which digest of a run.json the line at each place of the ledger carries.

    Args:
        content: run.json as it lies on disk.
        record: What it holds.
    """
    own, earlier = sha256_hex(content), record.data.earlier
    ends = [(part.images, sha256_hex(_before(content, number))) for number, part in enumerate(earlier)]

    def digest_at(place: int) -> str:
        return next((digest for images, digest in ends if place < images), own)

    return digest_at


def grown(stored: RunRecord, content: bytes, lines: int, asked: RunRecord, dataset: Dataset) -> RunRecord:
    """Return ``asked`` with the images that the run had before, where it goes on with more than ``stored`` says.

    Where its images are not the stored ones and more, it is returned as one that cannot continue the run.

    Args:
        stored: Of the run that is resumed.
        content: Its run.json as it lies on disk.
        lines: How many of its images are finished.
        asked: What it is resumed as, with the images of ``dataset``.
        dataset: All images that are asked for.

    Raises:
        InputError: The run is not finished, or is of a version whose run.json cannot be continued.
    """
    before = stored.data
    if _images_of(asked.data) == _images_of(before):
        return replace(asked, data=replace(asked.data, earlier=before.earlier))
    if len(dataset) <= before.images or not are_the_first_of(_images_of(before), dataset):
        return asked
    if lines < before.images:
        raise InputError(
            f"expected a finished run to continue with more images, found {lines} of {before.images}; resume it with "
            f"its own images first, {before.slice}"
        )
    record = replace(asked, data=replace(asked.data, earlier=(*before.earlier, _images_of(before))))
    is_same_but_for_images = replace(record, data=before) == stored
    if is_same_but_for_images and _before(run_json(asdict(record)), len(before.earlier)) != content:
        raise InputError("expected a run.json as this version writes it, found that of another; start a new run")
    return record


def as_continued(stored: RunRecord, asked: RunRecord) -> RunRecord:
    """Return ``stored`` with the images of ``asked`` where these continue its own, as ``grown`` says; else as it is."""
    if asked.data.earlier != (*stored.data.earlier, _images_of(stored.data)):
        return stored
    images = {name: getattr(asked.data, name) for name in ("slice", "images", "fingerprint", "earlier")}
    return replace(stored, data=replace(stored.data, **images))


def are_the_first_of(part: EarlierImages, dataset: Dataset) -> bool:
    """Return whether ``part`` is of the first images of ``dataset``."""
    if part.images > len(dataset):
        return False
    first = dataset.first(part.images)
    return (first.slice, first.fingerprint) == (part.slice, part.fingerprint)


def _images_of(data: DataRecord) -> EarlierImages:
    return EarlierImages(slice=data.slice, images=data.images, fingerprint=data.fingerprint)


def _before(content: bytes, number: int) -> bytes:
    """Return run.json as it was when the run had the images of entry ``number`` of those it had."""
    value = parse_json(content)
    data = value["data"]
    return run_json(value | {"data": data | data["earlier"][number] | {"earlier": data["earlier"][:number]}})


def _on_one_line(numbers: re.Match[str]) -> str:
    return re.sub(r"\s+", " ", numbers[0]).replace("[ ", "[").replace(" ]", "]")

"""Only JSON of exactly the dataclass's fields and types becomes one, and a refusal names the field."""

import json
import sys
from dataclasses import asdict, dataclass
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purecert.engine.errors import InputError
from purecert.engine.files.strict_json import parse_json, read_dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    size: int
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    name: str
    ready: bool
    kind: Literal["cat", "dog"]
    weight: float | None
    inner: Inner
    parts: tuple[Inner, ...]
    sizes: tuple[int, ...]
    versions: dict[str, str]


_RIGHT = Outer(
    name="Füchsin",
    ready=False,
    kind="dog",
    weight=None,
    inner=Inner(size=-1, share=0.5),
    parts=(Inner(size=2**80, share=-1e308), Inner(size=0, share=5e-324)),
    sizes=(1, 2),
    versions={"": "", "onnx": "1"},
)


def _json(**changes: object) -> dict[str, object]:
    return dict(json.loads(json.dumps(asdict(_RIGHT)))) | changes


def test_what_was_written_is_read() -> None:
    assert read_dataclass(Outer, _json(), "file") == _RIGHT


@settings(deadline=None)
@given(
    st.text().filter(str.isprintable),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers()),
    st.dictionaries(st.text().filter(str.isprintable), st.text().filter(str.isprintable)),
)
def test_any_values_of_the_right_types_are_read(
    name: str, ready: bool, size: int, share: float, sizes: list[int], versions: dict[str, str]
) -> None:
    value = Outer(
        name=name,
        ready=ready,
        kind="cat",
        weight=share,
        inner=Inner(size=size, share=share),
        parts=(),
        sizes=tuple(sizes),
        versions=versions,
    )
    assert read_dataclass(Outer, json.loads(json.dumps(asdict(value))), "file") == value


def test_a_whole_number_is_read_as_the_float_that_the_field_is() -> None:
    read = read_dataclass(Inner, {"size": 3, "share": 1}, "file")
    assert type(read.share) is float
    assert read.share == 1


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"name": 1}, "file: name: expected a value of type str, found 1"),
        ({"name": None}, "file: name: expected a value of type str, found None"),
        ({"ready": 0}, "file: ready: expected a value of type bool, found 0"),
        ({"kind": "fox"}, r"file: kind: expected one of \['cat', 'dog'\], found 'fox'"),
        ({"kind": ["cat"]}, r"file: kind: expected one of"),
        ({"weight": "1"}, "file: weight: expected a finite number, found '1'"),
        ({"weight": True}, "file: weight: expected a finite number, found True"),
        ({"inner": None}, "file: inner: expected an object, found NoneType"),
        ({"inner": [1, 0.5]}, "file: inner: expected an object, found list"),
        ({"inner": {"size": 1.0, "share": 0}}, r"file: inner: size: expected a value of type int, found 1\.0"),
        ({"inner": {"size": True, "share": 0}}, "file: inner: size: expected a value of type int, found True"),
        ({"inner": {"size": 1}}, r"file: inner: unknown fields \[\], missing fields \['share'\]"),
        ({"parts": {}}, "file: parts: expected a list, found {}"),
        ({"parts": [{"size": 1, "share": 2}, 3]}, r"file: parts\[1\]: expected an object, found int"),
        ({"sizes": [1, "2"]}, r"file: sizes\[1\]: expected a value of type int, found '2'"),
        ({"sizes": "12"}, "file: sizes: expected a list, found '12'"),
        ({"versions": []}, r"file: versions: expected an object, found \[\]"),
        ({"versions": {"onnx": 1}}, "file: versions.onnx: expected a value of type str, found 1"),
        ({"colour": 1}, r"file: unknown fields \['colour'\], missing fields \[\]; was it made by this version"),
    ],
)
def test_a_wrong_field_is_named_with_what_was_expected_and_found(changes: dict[str, object], where: str) -> None:
    with pytest.raises(InputError, match=f"^{where}"):
        read_dataclass(Outer, _json(**changes), "file")


@pytest.mark.parametrize("name", list(asdict(_RIGHT)))
def test_a_missing_field_is_named(name: str) -> None:
    value = _json()
    del value[name]
    with pytest.raises(InputError, match=rf"missing fields \['{name}'\]"):
        read_dataclass(Outer, value, "file")


@pytest.mark.parametrize("value", [None, [], "{}", 1, True, 0.5])
def test_what_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(InputError, match=f"file: expected an object, found {type(value).__name__}"):
        read_dataclass(Outer, value, "file")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e309", "-1e309", "1" + "0" * 309, "9" * 4000])
def test_a_number_that_no_double_holds_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="share: expected a finite number, found") as refusal:
        read_dataclass(Inner, {"size": 1, "share": json.loads(text)}, "file")
    assert len(str(refusal.value)) < 200


def test_the_largest_double_is_read() -> None:
    for number in (sys.float_info.max, int(sys.float_info.max), -sys.float_info.max):
        assert read_dataclass(Inner, {"size": 1, "share": number}, "file").share == number


@pytest.mark.parametrize("value", ["x" * 10**6, ["x"] * 10**6, {str(i): i for i in range(10**5)}, [[["x" * 10**6]]]])
def test_a_refusal_stays_short_whatever_was_found(value: object) -> None:
    for changes in ({"ready": value}, {"kind": value}, {"weight": value}):
        with pytest.raises(InputError, match="expected") as refusal:
            read_dataclass(Outer, _json(**changes), "file")
        assert len(str(refusal.value)) < 500
    with pytest.raises(InputError, match="unknown fields") as refusal:
        read_dataclass(Inner, {"size": 1, "share": 1} | {str(i): i for i in range(10**5)}, "file")
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("name", ["name", "ready", "kind", "weight", "inner", "parts", "sizes", "versions"])
def test_values_nested_deeper_than_they_can_be_printed_are_refused(name: str) -> None:
    value: object = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(InputError, match=f"{name}.*: expected"):
        read_dataclass(Outer, _json(**{name: value}), "file")


@pytest.mark.parametrize("key", ["a\nb", "a\x1b[2J", "\u2028", "\u202e"])
def test_a_key_that_is_no_text_on_one_line_is_refused(key: str) -> None:
    with pytest.raises(InputError, match="file: versions: expected printable keys on one line"):
        read_dataclass(Outer, _json(versions={key: "1"}), "file")


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1, "a": 1}',
        b'[{"b": {"c": 1, "\\u0063": 2}}]',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-be"),
        '{"a": 1}'.encode("utf-32"),
        b'{"a": "\xff"}',
    ],
)
def test_bytes_that_readers_of_json_take_differently_are_refused(content: bytes) -> None:
    assert parse_json(b'[{"a": 1}, {"a": 1}]') == [{"a": 1}, {"a": 1}]
    with pytest.raises(ValueError, match=r"twice in one object|BOM|decode|Expecting"):
        parse_json(content)

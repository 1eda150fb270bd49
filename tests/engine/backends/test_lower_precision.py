"""A plan in lower precision is refused where the processor does not multiply in it."""

from pathlib import Path

import pytest

from purecert.engine.backends import lower_precision
from purecert.engine.backends.lower_precision import has_instructions, require_instructions
from purecert.engine.errors import BackendError
from purecert.engine.plans.plan import Precision
from support.commands import engine


@pytest.mark.parametrize(
    ("precision", "flags", "expected"),
    [
        ("fp32", (), True),
        ("fp16", (), True),
        ("bf16", ("avx512f", "avx512_vnni"), False),  # as OpenVINO takes for enough, which then emulates it
        ("bf16", ("avx512_bf16",), True),
        ("bf16", ("amx_bf16",), True),
        ("int8", ("avx2", "avx512f"), False),  # sums of 16 bits end at their largest number
        ("int8", ("avx_vnni",), True),
    ],
)
def test_the_instructions_decide(
    precision: Precision, flags: tuple[str, ...], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lower_precision, "cpu_flags", lambda: frozenset(flags))
    assert has_instructions(precision) == expected
    if not expected:
        with pytest.raises(BackendError, match=f"this processor does not multiply in {precision} "):
            require_instructions(precision)


@pytest.mark.skipif(has_instructions("int8"), reason="this processor has VNNI")
def test_an_export_in_int8_is_refused_where_it_cannot_be_measured(tmp_path: Path) -> None:
    said = engine("export", "demo", "-o", tmp_path / "plan", "--sigma", "0.5", "--precision", "int8").expect(3)
    assert "this processor does not multiply in int8" in said.err
    assert not (tmp_path / "plan").exists()

"""Networks that keep tensors in FP32 beside half layers, and multiply or attend with both."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from purecert.engine.plans.plan import Plan
from purecert.export.fusing.fuse import FusedModel
from purecert.export.fusing.mixed_products import ProductsInHalf
from purecert.export.fusing.precision import to_half

Attend = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def _fused(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    return scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _by_hand(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    score = query @ key.mT / query.shape[-1] ** 0.5 + mask  # of half and FP32, so FP32
    return score.softmax(-1) @ value


def _by_einsum(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    score = torch.einsum("bhqc,bhkc->bhqk", query, key) / query.shape[-1] ** 0.5 + mask
    return torch.einsum("bhqk,bhkc->bhqc", score.softmax(-1), value)


class _Windows(nn.Module):
    """Attention inside of two halves of a picture: a mask, which no layer holds, keeps them apart, as in Swin."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend = attend
        self.to_three, self.head = nn.Linear(8, 24), nn.Linear(8, 10)
        window = torch.arange(8) // 4
        self.register_buffer("mask", torch.where(window[:, None] == window, 0.0, -100.0))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.to_three(x).chunk(3, dim=-1)
        logits: Tensor = self.head(self.attend(query, key, value, self.get_buffer("mask")).mean((1, 2)))
        return logits


@pytest.mark.parametrize("attend", [_fused, _by_hand, _by_einsum], ids=["fused", "by hand", "einsum"])
def test_a_mask_in_fp32_beside_half_tensors_gives_nearly_the_same_logits(attend: Attend) -> None:
    torch.manual_seed(0)
    fused = FusedModel(_Windows(attend)).eval().requires_grad_(False)
    rows = torch.from_numpy(np.random.default_rng(0).integers(-100, 400, (64, 1, 8, 8)).astype(np.float32))
    exact, rounded = fused(rows)[1], to_half(fused)[0](rows.half())[1]
    assert float((exact - rounded).abs().max()) < 5e-3 * float(exact.abs().max())


def test_products_of_one_type_keep_it_and_mixed_ones_are_half() -> None:
    wide, half = torch.rand(2, 4, 4), torch.rand(2, 4, 4).half()
    with pytest.raises(RuntimeError, match=r"dtype|type"):
        wide @ half
    with ProductsInHalf():
        for product in (torch.matmul, torch.bmm, lambda a, b: a @ b, lambda a, b: torch.einsum("bij,bjk->bik", a, b)):
            assert [product(a, b).dtype for a, b in ((wide, wide), (half, half))] == [torch.float32, torch.float16]
            assert product(wide, half).dtype == product(half, wide).dtype == torch.float16
        assert (wide + half).dtype == torch.float32
    torch.testing.assert_close(_inside(wide, half), wide.half() @ half)


def _inside(a: Tensor, b: Tensor) -> Tensor:
    with ProductsInHalf():
        return a @ b


@pytest.mark.parametrize("is_named", [False, True])
def test_a_mask_beyond_half_still_leaves_a_token_out_and_a_product_beyond_it_overflows(is_named: bool) -> None:
    query = torch.randn(1, 1, 3, 4).half()
    mask = torch.tensor([[0.0, -1e9, 0.0]] * 2 + [[-1e9] * 3])
    with ProductsInHalf():
        named = {"attn_mask": mask} if is_named else {}
        found = scaled_dot_product_attention(query, query, query, *(() if is_named else (mask,)), **named)
        assert not bool((torch.full((2, 2), 1e6) @ torch.ones(2, 2).half()).isfinite().any())
    assert found.dtype == torch.float16
    expected = scaled_dot_product_attention(query.float(), query.float(), query.float(), attn_mask=mask)
    torch.testing.assert_close(found.float()[:, :, :2], expected[:, :, :2], atol=5e-3, rtol=5e-3)
    assert bool(found.isfinite().all())  # where all tokens are left out too


@pytest.mark.slow  # a whole export
def test_it_becomes_a_plan_in_half(make_plan: Callable[..., Plan], tmp_path: Path) -> None:
    torch.manual_seed(0)
    fused = FusedModel(_Windows(_fused)).eval().requires_grad_(False)
    plan = make_plan(fused, tmp_path / "plan", "fp16")
    assert plan.record.precision == "fp16"

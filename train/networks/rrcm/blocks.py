"""The blocks of rRCM's vision transformer; attribute names are the keys of its checkpoints."""

from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Tokens: TypeAlias = Float[Tensor, "batch tokens embedding"]
OneToken: TypeAlias = Float[Tensor, "batch 1 embedding"]

NORM_EPS = 1e-5


class Attention(nn.Module):
    """Multi-head self-attention; the rows of ``qkv`` are ordered (three, heads, width of a head), without a bias."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tokens) -> Tokens:
        queries, keys, values = self._split(self.qkv(x), 3)
        return self._attend(queries, keys, values)

    def answer_first(self, x: Tokens) -> OneToken:
        """Return what ``forward`` gives for the first token, without the others' queries and answers."""
        width = self.proj.in_features
        (queries,) = self._split(functional.linear(x[:, :1], self.qkv.weight[:width]), 1)
        keys, values = self._split(functional.linear(x, self.qkv.weight[width:]), 2)
        return self._attend(queries, keys, values)

    def _split(self, joined: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Return queries, keys and values as [batch, heads, tokens, width of a head]."""
        rows = joined.reshape(*joined.shape[:2], parts, self.heads, -1)
        return tuple(rows.permute(2, 0, 3, 1, 4).unbind(0))

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        answers = functional.scaled_dot_product_attention(queries, keys, values)
        projected: Tensor = self.proj(answers.transpose(1, 2).flatten(2))
        return projected


class Mlp(nn.Module):
    """Two layers with the exact GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tokens) -> Tokens:
        y: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return y


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x)."""

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width, mlp_ratio * width)

    def forward(self, x: Tokens) -> Tokens:
        x = x + self.attn(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y

    def answer_first(self, x: Tokens) -> OneToken:
        """Return the first token of ``forward``, at the cost of keys and values alone for the others."""
        first = x[:, :1] + self.attn.answer_first(self.norm1(x))
        y: Tensor = first + self.mlp(self.norm2(first))
        return y

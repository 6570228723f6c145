"""The Transformer of `kexue-nn` written once more, in PyTorch: what ours is measured against.

Rotary positions on interleaved pairs, exact GELU, a softmax tied to the embedding without a bias. The first `prefix` tokens of a
sequence see each other, the rest see what stands before them. Parameters carry the names of Hugging Face's BERT, so that one
`model.safetensors` serves both sides.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    vocab_size: int
    d_model: int = 256
    layers: int = 4
    heads: int = 4
    d_ffn: int = 1024
    norm_placement: str = "pre"
    scale_base: float | None = None
    """Base of the entropy-invariant attention scale; None for the ordinary one."""
    dropout: float = 0.1
    norm_epsilon: float = 1e-5

    @classmethod
    def from_table(cls, table: dict) -> "Config":
        """From the `[model]` table of a run's `config.toml`."""
        table = dict(table)
        scale = table.pop("attention_scale", {"kind": "ordinary"})
        known = {key: value for key, value in table.items() if key in cls.__dataclass_fields__}
        return cls(scale_base=scale.get("base"), **known)

    @property
    def head_dim(self) -> int:
        return self.d_model // self.heads


def rotary_table(length: int, head_dim: int) -> torch.Tensor:
    """Cosines and sines `[2, length, head_dim]`, each angle twice, for interleaved pairs."""
    rates = 10_000.0 ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    angles = torch.outer(torch.arange(length, dtype=torch.float64), rates).repeat_interleave(2, dim=-1)
    return torch.stack([angles.cos(), angles.sin()])


def turn(x: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    crossed = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
    return x * cosine + crossed * sine


def unilm_mask(length: int, prefix: torch.Tensor) -> torch.Tensor:
    """Which keys a query sees, `[batch, 1, length, length]`, for prefixes `[batch]`."""
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    inside = torch.arange(length) < prefix[:, None]
    return (causal | inside[:, None, :])[:, None]


class Block(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        d = config.d_model
        self.config = config
        self.query_key_value = nn.Linear(d, 3 * d)
        self.attention_output = nn.Linear(d, d)
        self.attention_norm = nn.LayerNorm(d, eps=config.norm_epsilon)
        self.up = nn.Linear(d, config.d_ffn)
        self.down = nn.Linear(config.d_ffn, d)
        self.ffn_norm = nn.LayerNorm(d, eps=config.norm_epsilon)
        self.dropout = nn.Dropout(config.dropout)

    def attend(self, x, mask, rotary, scale, past, layer):
        batch, length, d = x.shape
        qkv = self.query_key_value(x).view(batch, length, 3, self.config.heads, self.config.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query, key = turn(query, *rotary), turn(key, *rotary)
        if scale is not None:
            query = query * scale
        if past is not None:
            key, value = past.update(key, value, layer)
        context = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.attention_output(context.transpose(1, 2).reshape(batch, length, d))

    def forward(self, x, *attention):
        if self.config.norm_placement == "pre":
            x = x + self.dropout(self.attend(self.attention_norm(x), *attention))
            return x + self.dropout(self.down(F.gelu(self.up(self.ffn_norm(x)))))
        x = self.attention_norm(x + self.dropout(self.attend(x, *attention)))
        return self.ffn_norm(x + self.dropout(self.down(F.gelu(self.up(x)))))


class UniLM(nn.Module):
    def __init__(self, config: Config, longest: int = 512):
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.outer_norm = nn.LayerNorm(config.d_model, eps=config.norm_epsilon)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("rotary", rotary_table(longest, config.head_dim).to(torch.get_default_dtype()))

    def forward(self, tokens, mask, positions, visible, past=None):
        """Last hidden states `[batch, length, d_model]`.

        `mask` is `[batch, 1, length, keys]`; `positions` `[batch or 1, length]`; `visible`, as long, the number of keys a query sees.
        `past` is a Hugging Face cache, or None.
        """
        pre = self.config.norm_placement == "pre"
        rotary = self.rotary[:, positions].unsqueeze(2)
        scale = None
        if self.config.scale_base is not None:
            factor = visible.to(rotary.dtype).log() / math.log(self.config.scale_base)
            scale = factor[:, None, :, None]
        x = self.embedding(tokens)
        x = self.dropout(x if pre else self.outer_norm(x))
        for layer, block in enumerate(self.blocks):
            x = block(x, mask, rotary, scale, past, layer)
        return self.outer_norm(x) if pre else x

    def hidden(self, tokens: torch.Tensor, prefix: torch.Tensor) -> torch.Tensor:
        """Of whole sequences without padding, `tokens` `[batch, length]`, `prefix` `[batch]`."""
        positions = torch.arange(tokens.shape[1])
        visible = torch.maximum(positions + 1, prefix[:, None])
        return self(tokens, unilm_mask(tokens.shape[1], prefix), positions[None], visible)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return F.linear(hidden, self.embedding.weight)

    def slots(self):
        """Every parameter of `kexue-nn` in its order: name, module parameter, slice of its rows."""
        d = self.config.d_model
        yield "embeddings.word_embeddings.weight", self.embedding.weight, slice(None)
        pre = self.config.norm_placement == "pre"
        outer = "encoder.final_layer_norm" if pre else "embeddings.LayerNorm"
        for kind in ("weight", "bias"):
            yield f"{outer}.{kind}", getattr(self.outer_norm, kind), slice(None)
        for layer, block in enumerate(self.blocks):
            for kind in ("weight", "bias"):
                for index, part in enumerate(("query", "key", "value")):
                    rows = slice(index * d, (index + 1) * d)
                    yield f"encoder.layer.{layer}.attention.self.{part}.{kind}", getattr(block.query_key_value, kind), rows
            for name, module in (
                ("attention.output.dense", block.attention_output),
                ("attention.output.LayerNorm", block.attention_norm),
                ("intermediate.dense", block.up),
                ("output.dense", block.down),
                ("output.LayerNorm", block.ffn_norm),
            ):
                for kind in ("weight", "bias"):
                    yield f"encoder.layer.{layer}.{name}.{kind}", getattr(module, kind), slice(None)

    @torch.no_grad()
    def load(self, tensors: dict[str, torch.Tensor]) -> None:
        """Takes the tensors of a `model.safetensors`."""
        for name, parameter, rows in self.slots():
            parameter[rows].copy_(tensors[name])

"""Writes the figures that `cargo test -p kexue-nn` holds the Transformer against, computed by PyTorch in double precision.

Weights are not stored: both sides make them of the same hash, so that a figure can only agree if the whole computation does.

    python benches/peers/nn/goldens.py crates/kexue-nn/tests/pytorch.json
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from unilm import Config, UniLM  # noqa: E402

# Two sequences that share their prompt and one token more, a causal one, a bidirectional one, a single token.
SEQUENCES = [
    ([1, 5, 19, 7, 2, 9, 10, 2, 30], 5),
    ([1, 5, 19, 7, 2, 9, 12, 8], 5),
    ([1, 8, 2, 23], 0),
    ([3, 4, 4, 11, 27, 6], 6),
    ([17], 1),
]
# Streams of the hash beside the parameters' own, which are numbered from 0.
LOSS, DIRECTIONS = 1000, 2000
LOGIT_TOKENS = [0, 2, 9, 30]


def uniform(stream: int, count: int) -> np.ndarray:
    """`count` numbers within −1 and 1: the finisher of SplitMix64 over a counter."""
    with np.errstate(over="ignore"):
        z = (np.uint64(stream) << np.uint64(32)) + np.arange(count, dtype=np.uint64)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(44)).astype(np.float64) / 2**19 - 1.0


@torch.no_grad()
def fill(model: UniLM) -> None:
    """Matrices within ±0.5, norms within 1 ± 0.25, biases within ±0.25; exact in single precision."""
    for stream, (name, parameter, rows) in enumerate(model.slots()):
        shape = parameter[rows].shape
        values = torch.from_numpy(uniform(stream, shape.numel())).reshape(shape)
        centre = 1.0 if name.endswith(("layer_norm.weight", "LayerNorm.weight")) else 0.0
        parameter[rows] = centre + values * (0.5 if parameter.ndim == 2 else 0.25)


def rounded(values) -> list[float]:
    return [float(f"{value:.7g}") for value in torch.as_tensor(values).flatten().tolist()]


def golden(norm_placement: str, scale_base: float | None) -> dict:
    config = Config(31, 24, 2, 3, 40, norm_placement, scale_base, dropout=0.0)
    model = UniLM(config)
    fill(model)
    hidden = [model.hidden(torch.tensor([tokens]), torch.tensor([prefix]))[0] for tokens, prefix in SEQUENCES]
    packed = torch.cat(hidden)
    weights = torch.from_numpy(uniform(LOSS, packed.numel())).reshape(packed.shape)
    loss = (packed * weights).sum()
    loss.backward()
    gradients = {}
    for stream, (name, parameter, rows) in enumerate(model.slots()):
        gradient = parameter.grad[rows].flatten()
        if parameter.ndim == 1:
            gradients[name] = rounded(gradient)
        else:
            directions = [torch.from_numpy(uniform(DIRECTIONS + 3 * stream + i, gradient.numel())) for i in range(3)]
            gradients[name] = rounded(torch.stack([gradient.norm(), *(gradient @ u for u in directions)]))
    return {
        "config": {
            "vocab_size": config.vocab_size,
            "d_model": config.d_model,
            "layers": config.layers,
            "heads": config.heads,
            "d_ffn": config.d_ffn,
            "norm_placement": norm_placement,
            "attention_scale": {"kind": "entropy_invariant", "base": scale_base} if scale_base else {"kind": "ordinary"},
        },
        "hidden": rounded(packed.detach()),
        "logits": rounded(model.logits(packed)[:, LOGIT_TOKENS].detach()),
        "loss": loss.item(),
        "gradients": gradients,
    }


def check_against_roformer() -> None:
    """The post-norm model without a causal part is Hugging Face's RoFormer: another hand's word on names and rotary positions."""
    from transformers import RoFormerConfig, RoFormerModel

    config = Config(31, 24, 2, 3, 40, "post", dropout=0.0)
    model = UniLM(config)
    fill(model)
    theirs = RoFormerModel(
        RoFormerConfig(
            vocab_size=31,
            embedding_size=24,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=40,
            hidden_act="gelu",
            layer_norm_eps=config.norm_epsilon,
            rotary_value=False,
        )
    ).eval()
    state = theirs.state_dict()
    ours = {name: parameter[rows].detach() for name, parameter, rows in model.slots()}
    for name in state:
        if name in ours:
            state[name] = ours.pop(name)
        elif "token_type" in name:
            state[name] = torch.zeros_like(state[name])
    assert not ours, f"RoFormer does not know {list(ours)}"
    theirs.load_state_dict(state)
    for tokens, _ in SEQUENCES:
        tokens = torch.tensor([tokens])
        difference = (theirs(tokens).last_hidden_state - model.hidden(tokens, torch.tensor([tokens.shape[1]]))).abs().max()
        assert difference < 1e-5, f"{difference} from RoFormer"  # its table of positions is in single precision
    print("agrees with transformers.RoFormerModel", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    check_against_roformer()
    models = [golden(norm, base) for norm in ("pre", "post") for base in (None, 512.0)]
    document = {"sequences": SEQUENCES, "logit_tokens": LOGIT_TOKENS, "models": models}
    arguments.output.write_text(json.dumps(document, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

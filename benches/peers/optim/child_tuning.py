"""Writes the figures that `cargo test -p kexue-optim` holds ChildTuning against: PyTorch's AdamW, with gradients masked as in the authors' code, over 20 steps.

Parameters, gradients and masks are not stored: both sides make them of the same hash.

    python benches/peers/optim/child_tuning.py crates/kexue-optim/tests/child_tuning.json
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "nn"))
from goldens import uniform  # noqa: E402

SIZES = [30, 6, 24]
STEPS, RATE, DECAY, CLIP, P = 20, 1e-2, 0.1, 2.0, 0.3
BETAS, EPSILON = (0.9, 0.98), 1e-8
BITS = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(counter: int) -> int:
    """The finisher of SplitMix64."""
    z = (counter ^ (counter >> 30)) * 0xBF58476D1CE4E5B9 & BITS
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & BITS
    return z ^ (z >> 31)


def random_mask(seed: int, step: int, size: int) -> tuple[torch.Tensor, float]:
    """The mask of a step, and the probability that it keeps a number: 16 bits decide about each."""
    key = 0
    for part in (seed, step):
        key = mix((key ^ part) + GOLDEN & BITS)
    threshold = round(np.float32(P) * np.float32(65536))
    words = [mix(key + index * GOLDEN & BITS) for index in range(-(-size // 4))]
    kept = [(words[at // 4] >> (16 * (at % 4)) & 0xFFFF) < threshold for at in range(size)]
    return torch.tensor(kept, dtype=torch.float64), threshold / 65536


def gradient(step: int, parameters: list[torch.Tensor]) -> None:
    for stream, tensor in enumerate(parameters):
        noise = uniform(10 * (step + 1) + stream, tensor.numel()).astype(np.float32)
        tensor.grad = torch.tensor(noise, dtype=torch.float64) + 0.3 * tensor.detach()


def run(name: str) -> list[float]:
    parameters = [
        torch.nn.Parameter(torch.tensor(uniform(stream, size).astype(np.float32), dtype=torch.float64))
        for stream, size in enumerate(SIZES)
    ]
    own_decay = 0.0 if name == "task_driven_masked_decay" else DECAY
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=BETAS, eps=EPSILON, weight_decay=own_decay)
    total = sum(SIZES)
    fixed = torch.tensor([at % 3 == 0 for at in range(total)], dtype=torch.float64)
    for step in range(STEPS):
        gradient(step, parameters)
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        if name.startswith("task_driven"):
            mask, p = fixed, 1 / 3
        else:
            mask, p = random_mask(7, step, total)
        masks = mask.split(SIZES)
        before = [tensor.detach().clone() for tensor in parameters]
        if name != "update_dropout":
            for tensor, part in zip(parameters, masks):
                tensor.grad *= part if name == "task_driven_undivided" else part / p
        optimizer.step()
        with torch.no_grad():
            for tensor, part, old in zip(parameters, masks, before):
                if name == "update_dropout":
                    tensor.copy_(old + (tensor - old) * part / p)
                if name == "task_driven_masked_decay":
                    tensor.sub_(RATE * DECAY * old * part)
    return [float(value) for tensor in parameters for value in tensor.detach()]


NAMES = ["task_free", "task_driven", "task_driven_undivided", "task_driven_masked_decay", "update_dropout"]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    goldens = {"torch": torch.__version__, "steps": STEPS, "after": {name: run(name) for name in NAMES}}
    args.out.write_text(json.dumps(goldens, indent=1) + "\n")

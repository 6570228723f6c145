"""Writes the figures that `cargo test -p kexue-optim` holds its optimisers against, computed by PyTorch over 100 steps.

Parameters and gradients are not stored: both sides make them of the same hash.

    python benches/peers/optim/goldens.py crates/kexue-optim/tests/pytorch.json
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "nn"))
from goldens import uniform  # noqa: E402

# Name and shape: a matrix, a bias, a stack of matrices as of a convolution.
PARAMETERS = [("weight", [6, 5]), ("bias", [6]), ("kernel", [2, 3, 4])]
STEPS = 100


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of Chen et al., arXiv 2302.06675, with decoupled weight decay."""

    def __init__(self, parameters, lr, betas, weight_decay):
        super().__init__(parameters, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                direction = (beta1 * momentum + (1 - beta1) * parameter.grad).sign()
                momentum.mul_(beta2).add_(parameter.grad, alpha=1 - beta2)
                parameter.sub_(group["lr"] * (direction + group["weight_decay"] * parameter))


OPTIMIZERS = {
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1),
    "adamw_clipped": lambda groups: torch.optim.AdamW(groups, lr=1e-2, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0),
    "adafactor": lambda groups: torch.optim.Adafactor(groups, lr=1e-2, weight_decay=0.1),
    # The relative step size 1/√t is below the rate from the fifth step on.
    "adafactor_inverse_root": lambda groups: torch.optim.Adafactor(groups, lr=0.5, weight_decay=0.0),
    "lion": lambda groups: Lion(groups, lr=1e-2, betas=(0.9, 0.99), weight_decay=0.1),
    "momentum": lambda groups: torch.optim.SGD(groups, lr=1e-2, momentum=0.9),
    "nesterov": lambda groups: torch.optim.SGD(groups, lr=1e-2, momentum=0.9, nesterov=True),
}


def run(name: str) -> list[float]:
    tensors = []
    for stream, (_, shape) in enumerate(PARAMETERS):
        values = uniform(stream, int(np.prod(shape))).reshape(shape)
        tensors.append(torch.nn.Parameter(torch.tensor(values, dtype=torch.float32)))
    # Decay is of the matrices.
    decaying = [tensor for tensor in tensors if tensor.dim() > 1]
    others = [tensor for tensor in tensors if tensor.dim() == 1]
    optimizer = OPTIMIZERS[name]([{"params": decaying}, {"params": others, "weight_decay": 0.0}])
    for step in range(STEPS):
        for stream, tensor in enumerate(tensors):
            noise = uniform(10 * (step + 1) + stream, tensor.numel()).reshape(tensor.shape)
            tensor.grad = torch.tensor(noise, dtype=torch.float32) + 0.3 * tensor.detach()
        if name.endswith("clipped"):
            torch.nn.utils.clip_grad_norm_(tensors, 2.0)
        optimizer.step()
    return [float(value) for tensor in tensors for value in tensor.detach().flatten()]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    goldens = {"torch": torch.__version__, "steps": STEPS, "after": {name: run(name) for name in OPTIMIZERS}}
    args.out.write_text(json.dumps(goldens, indent=1) + "\n")

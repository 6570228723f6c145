"""Writes the figures that `cargo test -p kexue-grad` holds derivatives of gradients against: PyTorch's double backward, in double precision.

Weights are not stored: both sides make them of the same hash, parameter by parameter in the order of the file.

    python benches/peers/grad/goldens.py crates/kexue-grad/tests/pytorch.json
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).parent.parent / "nn"))
from goldens import uniform  # noqa: E402

INPUT, DIRECTION = 1000, 2000


class Perceptron(nn.Module):
    shape = (4, 5)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 8)
        self.second = nn.Linear(8, 8)
        self.score = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.score(F.gelu(self.second(torch.tanh(self.first(x)))))[:, 0]


class Convolutions(nn.Module):
    shape = (3, 2, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, stride=2, padding=1)
        self.groups = nn.GroupNorm(2, 4)
        self.second = nn.Conv2d(4, 3, 3)
        self.score = nn.Linear(12, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.groups(F.leaky_relu(self.first(x), 0.1))
        return self.score(F.silu(self.second(x)).flatten(1))[:, 0]


class Attention(nn.Module):
    shape = (2, 5, 8)

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.query, self.key, self.value, self.output = (nn.Linear(8, 8) for _ in range(4))
        self.score = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.norm(x)
        heads = lambda tensor: tensor.unflatten(2, (2, 4)).transpose(1, 2)  # noqa: E731
        query, key, value = (heads(part(normed)) for part in (self.query, self.key, self.value))
        weights = torch.softmax(query @ key.transpose(2, 3) / 2.0, dim=3)
        x = x + self.output((weights @ value).transpose(1, 2).flatten(2))
        return self.score(x.mean(dim=1))[:, 0]


def rounded(values: torch.Tensor) -> list[float]:
    return [float(f"{value:.9g}") for value in values.flatten().tolist()]


def flat(tensors) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in tensors])


def golden(model: nn.Module) -> dict:
    parameters = list(model.parameters())
    with torch.no_grad():
        for stream, parameter in enumerate(parameters):
            parameter.copy_(torch.from_numpy(uniform(stream, parameter.numel())).reshape(parameter.shape))
    count = torch.Size(model.shape).numel()
    x = torch.from_numpy(uniform(INPUT, count)).reshape(model.shape).requires_grad_()

    def gradient(of: torch.Tensor) -> torch.Tensor:
        found = torch.autograd.grad(of, parameters, retain_graph=True, allow_unused=True)
        return flat(torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found))

    def loss_of(scores: torch.Tensor) -> torch.Tensor:
        return (scores + scores.square()).mean()

    scores = model(x)
    (by_input,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    norms = by_input.flatten(1).norm(dim=1)
    two_sided = (norms - 1).square().mean()
    one_sided = F.relu(norms - norms.mean().item()).square().mean()
    by_parameters = flat(torch.autograd.grad(loss_of(scores), parameters, create_graph=True))
    direction = torch.from_numpy(uniform(DIRECTION, by_parameters.numel()))
    penalty = by_parameters.square().sum()
    per_sample = [
        flat(torch.autograd.grad(loss_of(scores[i : i + 1]), parameters, create_graph=True)).square().sum()
        for i in range(len(scores))
    ]
    per_sample = torch.stack(per_sample).mean()
    return {
        "parameters": [[name, list(parameter.shape)] for name, parameter in model.named_parameters()],
        "norms": rounded(norms),
        "norms_by_parameters": rounded(gradient(norms.sum())),
        "two_sided": two_sided.item(),
        "two_sided_by_parameters": rounded(gradient(two_sided)),
        "one_sided_target": norms.mean().item(),
        "one_sided": one_sided.item(),
        "one_sided_by_parameters": rounded(gradient(one_sided)),
        "hvp": rounded(gradient(by_parameters @ direction)),
        "parameter_penalty": penalty.item(),
        "parameter_penalty_by_parameters": rounded(gradient(penalty)),
        "parameter_penalty_per_sample": per_sample.item(),
        "parameter_penalty_per_sample_by_parameters": rounded(gradient(per_sample)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    models = {model.__name__: golden(model()) for model in (Perceptron, Convolutions, Attention)}
    arguments.output.write_text(json.dumps(models, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

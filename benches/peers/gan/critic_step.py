"""A critic's step by PyTorch's double backward; beside `cargo run --release -p kexue-gan --example critic_step_speed`.

Images of 3×32×32, convolutions of 64, 128 and 256 channels (4×4, stride 2), LeakyReLU 0.1, one linear layer; 64 real and 64 generated samples, hinge loss,
backward. `--check` prints loss and norm of the gradient for the weights and images that our side makes too.
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

BATCH = 64


def numbers(shape: tuple[int, ...], start: int) -> torch.Tensor:
    count = int(torch.tensor(shape).prod())
    i = torch.arange(count, dtype=torch.float64) + start
    return ((i * 0.6180339887498949).frac() * 2 - 1).float().reshape(shape)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--normalizer", choices=["gn", "gp", "none"], default="gn")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    critic = nn.Sequential(
        *(nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.1)),
        *(nn.Conv2d(64, 128, 4, 2, 1), nn.LeakyReLU(0.1)),
        *(nn.Conv2d(128, 256, 4, 2, 1), nn.LeakyReLU(0.1)),
        *(nn.Flatten(), nn.Linear(256 * 16, 1)),
    )
    start = 0
    with torch.no_grad():
        for parameter in critic.parameters():
            parameter.copy_(0.05 * numbers(tuple(parameter.shape), start))
            start += parameter.numel()
    real, fake = numbers((BATCH, 3, 32, 32), 7), numbers((BATCH, 3, 32, 32), 11_111_111)
    shares = ((numbers((BATCH,), 3) + 1) / 2).reshape(BATCH, 1, 1, 1)

    def norms(scores: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
        return gradient.flatten(1).norm(dim=1)

    def step() -> torch.Tensor:
        critic.zero_grad(set_to_none=True)
        x = torch.cat([real, fake])
        if arguments.normalizer == "gn":
            x.requires_grad_()
        scores = critic(x)[:, 0]
        if arguments.normalizer == "gn":
            scores = scores / (norms(scores, x) + scores.abs())
        loss = F.relu(1 - scores[:BATCH]).mean() + F.relu(1 + scores[BATCH:]).mean()
        if arguments.normalizer == "gp":
            between = (real * shares + fake * (1 - shares)).requires_grad_()
            loss = loss + 10 * ((norms(critic(between)[:, 0], between) - 1) ** 2).mean()
        loss.backward()
        return loss

    if arguments.check:
        loss = step()
        norm = sum(float((p.grad.double() ** 2).sum()) for p in critic.parameters()) ** 0.5
        print(json.dumps({"loss": loss.item(), "gradient_norm": norm}))
        return
    seconds = []
    for round in range(arguments.rounds + 2):
        before = time.perf_counter()
        step()
        if round >= 2:
            seconds.append(time.perf_counter() - before)
    median = statistics.median(seconds)
    print(json.dumps({"steps_per_second": round_to(1 / median), "step_ms": round_to(1e3 * median)}))


def round_to(value: float) -> float:
    return float(f"{value:.4g}")


if __name__ == "__main__":
    main()

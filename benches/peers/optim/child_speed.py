"""The steps of `cargo run --example child_speed` in PyTorch: AdamW alone, and with gradients masked as in the authors' code of ChildTuning.

Prints processor time of a step in nanoseconds per parameter, the median of the rounds, all threads together.

    python benches/peers/optim/child_speed.py --rounds 9
"""

import argparse
import json
import os
import statistics
import time

import torch
from torch.distributions.bernoulli import Bernoulli

SIZE, STEPS, P = 20_000_000, 10, 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--fused", action="store_true", help="PyTorch's fused AdamW instead of its default")
    arguments = parser.parse_args()
    torch.set_num_threads(os.cpu_count())
    # Matrices as in a model, not one vector: the default AdamW goes over them one by one.
    shapes = [(2000, 1000)] * 10
    mask = [(torch.rand(shape) < P).float() for shape in shapes]
    figures = {}
    for name in ("plain", "task_free", "task_driven"):
        parameters = [torch.nn.Parameter(torch.full(shape, 0.1)) for shape in shapes]
        noise = [torch.randn(shape) * 0.3 for shape in shapes]
        optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=arguments.fused or None)
        times = []
        for round in range(arguments.rounds + 1):
            spent = 0.0
            for _ in range(STEPS):
                for parameter, values in zip(parameters, noise):
                    parameter.grad = values.clone()
                start = time.process_time()
                for parameter, kept in zip(parameters, mask):
                    if name == "task_free":
                        sampled = Bernoulli(torch.full_like(parameter.grad, P)).sample()
                        parameter.grad *= sampled / P
                    elif name == "task_driven":
                        parameter.grad *= kept
                optimizer.step()
                spent += time.process_time() - start
            if round > 0:
                times.append(spent / STEPS / SIZE * 1e9)
        figures[name] = {"ns": round_to(statistics.median(times))}
    print(json.dumps(figures))


def round_to(value: float) -> float:
    return float(f"{value:.3f}")


if __name__ == "__main__":
    main()

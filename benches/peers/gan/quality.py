"""Prints the figures that `cargo test -p kexue-gan` holds FID and KID against, by the formulas as PyTorch programs compute them, in double precision.

FID by the eigenvalues of Σ₁Σ₂; KID by means over the Gram matrices without their diagonals. The features are of a hash that both sides have.

    python benches/peers/gan/quality.py
"""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "nn"))
from goldens import uniform  # noqa: E402

SIZE, SAMPLES = 8, 50


def features(stream: int) -> torch.Tensor:
    return torch.from_numpy(uniform(stream, SAMPLES * SIZE).reshape(SAMPLES, SIZE))


def fid(a: torch.Tensor, b: torch.Tensor) -> float:
    eigenvalues = torch.linalg.eigvals(torch.cov(a.T) @ torch.cov(b.T))
    traces = torch.cov(a.T).trace() + torch.cov(b.T).trace() - 2 * eigenvalues.sqrt().real.sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + traces)


def kid(a: torch.Tensor, b: torch.Tensor) -> float:
    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x @ y.T / SIZE + 1) ** 3

    def others(gram: torch.Tensor) -> torch.Tensor:
        return (gram.sum() - gram.trace()) / (SAMPLES * (SAMPLES - 1))

    return float(others(kernel(a, a)) + others(kernel(b, b)) - 2 * kernel(a, b).mean())


if __name__ == "__main__":
    real, fake = features(1), features(2) * 0.7 + 0.2
    print(f"fid {fid(real, fake):.12f} kid {kid(real, fake):.12f}")

"""Prints the figures that `cargo test -p kexue-gan` holds FID, KID, precision and recall against: those of torch-fidelity, in double precision.

KID is that of one subset with all samples. The features are of a hash that both sides have, or of two safetensors files, to compare with
`kexue gan compare`. Needs torch-fidelity (`pip install --no-deps torch-fidelity torchvision scipy tqdm pillow`).

    python benches/peers/gan/quality.py [GENERATED.safetensors REAL.safetensors]
"""

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

sys.path.insert(0, str(Path(__file__).parent.parent / "nn"))
from goldens import uniform  # noqa: E402

SIZE, SAMPLES = 8, 50


def features(stream: int) -> torch.Tensor:
    return torch.from_numpy(uniform(stream, SAMPLES * SIZE).reshape(SAMPLES, SIZE))


def figures(fake: torch.Tensor, real: torch.Tensor) -> dict[str, float]:
    fake, real = fake.double(), real.double()
    fid = fid_statistics_to_metric(fid_features_to_statistics(fake), fid_features_to_statistics(real), False)
    size = {"kid_subsets": 1, "kid_subset_size": min(len(fake), len(real)), "verbose": False}
    return fid | kid_features_to_metric(fake, real, **size) | prc_features_to_metric(fake, real, verbose=False)


if __name__ == "__main__":
    pair = [next(iter(load_file(path).values())) for path in sys.argv[1:3]]
    for name, value in figures(*(pair or (features(2) * 0.7 + 0.2, features(1)))).items():
        print(f"{name} {value:.12f}")

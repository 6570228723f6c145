"""Writes the figures that `cargo test -p kexue-burn` holds Burn modules against, computed by PyTorch in double precision.

Weights are not stored: both sides make them of the same hash, parameter by parameter in the order of the file.

    python benches/peers/burn/goldens.py crates/kexue-burn/tests/pytorch.json
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent / "nn"))
from goldens import rounded, uniform  # noqa: E402

LOSS, TOKENS = 1000, [[3, 0, 7, 7, 1], [10, 2, 5, 4, 9]]


class Everything(nn.Module):
    """Every layer whose name or layout differs between Burn and PyTorch, or might be thought to."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.norm = nn.LayerNorm(6)
        self.layers = nn.ModuleList([nn.Linear(6, 10), nn.Linear(10, 6, bias=False)])
        self.rms = nn.RMSNorm(6, eps=1e-5)
        self.conv = nn.Conv1d(6, 4, 3, padding=1)
        self.groups = nn.GroupNorm(2, 4)
        self.conv_transpose = nn.ConvTranspose1d(4, 6, 2, stride=2)
        self.batch_norm = nn.BatchNorm1d(6)
        self.prelu = nn.PReLU()

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.embedding(tokens))
        x = x + self.layers[1](torch.tanh(self.layers[0](x)))
        x = self.rms(x).transpose(1, 2)
        x = self.groups(self.conv(x))
        return self.prelu(self.batch_norm(self.conv_transpose(x)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    model = Everything()
    with torch.no_grad():
        for stream, parameter in enumerate(model.parameters()):
            parameter.copy_(torch.from_numpy(uniform(stream, parameter.numel())).reshape(parameter.shape))
    output = model(torch.tensor(TOKENS))
    weights = torch.from_numpy(uniform(LOSS, output.numel())).reshape(output.shape)
    loss = (output * weights).sum()
    loss.backward()
    parameters = [
        {"name": name, "shape": list(parameter.shape), "gradient": rounded(parameter.grad)}
        for name, parameter in model.named_parameters()
    ]
    buffers = {name: rounded(buffer) for name, buffer in model.named_buffers() if buffer.is_floating_point()}
    document = {"tokens": TOKENS, "loss": loss.item(), "parameters": parameters, "buffers": buffers}
    arguments.output.write_text(json.dumps(document, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

"""Tokens per second of a training step in PyTorch: forward, backward and AdamW. Beside `--example step_speed` of kexue-nn.

    python benches/peers/nn/train_speed.py                      # cross-entropy over the whole vocabulary on the answers
    python benches/peers/nn/train_speed.py --without-softmax    # loss = Σ hidden · constant
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).parent.parent))
from unilm import Config, UniLM, unilm_mask  # noqa: E402

SEQUENCES, LENGTH, PREFIX, VOCABULARY = 64, 36, 20, 8000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--without-softmax", action="store_true")
    parser.add_argument("--without-adam", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile the model (needs a C++ compiler)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = UniLM(Config(VOCABULARY))
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.trunc_normal_(parameter, std=0.02, a=-0.04, b=0.04)
    # The fused step is the fastest that PyTorch has on a CPU.
    decaying = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim != 2]
    groups = [{"params": decaying, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=1e-4, fused=True)

    tokens = torch.randint(VOCABULARY, (SEQUENCES, LENGTH))
    prefix = torch.full((SEQUENCES,), PREFIX)
    # All sequences are of one length and one prefix here, so nothing is padded and one mask serves all.
    mask = unilm_mask(LENGTH, prefix[:1])
    positions = torch.arange(LENGTH)
    visible = torch.maximum(positions + 1, prefix[:1, None])
    forward = torch.compile(model) if arguments.compile else model

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        hidden = forward(tokens, mask, positions[None], visible)
        if arguments.without_softmax:
            loss = (hidden * 1e-3).sum()
        else:
            answers = hidden[:, PREFIX - 1 : -1].reshape(-1, hidden.shape[-1])
            loss = F.cross_entropy(model.logits(answers), tokens[:, PREFIX:].reshape(-1))
        loss.backward()
        if not arguments.without_adam:
            optimiser.step()

    for _ in range(3):
        step()
    seconds = []
    for _ in range(arguments.rounds):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(json.dumps({"tokens_per_second": round(SEQUENCES * LENGTH / median), "step_ms": round(1e3 * median, 1)}))


if __name__ == "__main__":
    main()

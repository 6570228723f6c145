"""Training steps and density estimates a second in PyTorch, as crates/kexue-vae/examples/vae_speed.rs measures ours: the same architectures, batches and draws,
single precision, fused Adam. Densities are computed as one would write it: all draws of an image in one batch, logsumexp of the log-weights."""

import argparse
import json
import math
import time

import torch

from model import Vae

parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
parser.add_argument("what", choices=["step", "iwae", "density"])
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--rounds", type=int, default=10)
parser.add_argument("--chunk", type=int, default=5000, help="draws of an image in one batch")
arguments = parser.parse_args()
torch.set_num_threads(arguments.threads)
torch.manual_seed(0)
hidden = [500, 500] if arguments.what == "step" else [200, 200]
config = {"dimensions": 784, "activation": "tanh", "layers": [{"hidden": hidden, "latent": 50}]}
model = Vae(config)
if arguments.what == "density":
    images = (torch.rand(arguments.rounds, 784) < 0.5).float()
    started, total = time.perf_counter(), 0.0
    with torch.no_grad():
        for x in images:
            log_w = []
            for _ in range(5000 // arguments.chunk):
                log_w.append(model.log_weights(x[None], [torch.randn(1, arguments.chunk, 50)])[0])
            total += (torch.cat(log_w, 1).logsumexp(1) - math.log(5000)).item()
    seconds = time.perf_counter() - started
    print(json.dumps({"images_per_second": arguments.rounds / seconds, "mean": total / arguments.rounds}))
else:
    batch, draws, bound = (128, 1, "vae") if arguments.what == "step" else (20, 50, "iwae")
    x = (torch.rand(batch, 784) < 0.5).float()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    started = time.perf_counter()
    for _ in range(arguments.rounds):
        optimizer.zero_grad(set_to_none=True)
        (model.loss(x, [torch.randn(batch, draws, 50)], bound) / batch).backward()
        optimizer.step()
    print(json.dumps({"steps_per_second": arguments.rounds / (time.perf_counter() - started)}))

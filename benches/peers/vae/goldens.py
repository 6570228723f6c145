"""Writes crates/kexue-vae/tests/pytorch.json: bounds and gradients of small models by PyTorch's automatic differentiation, in double precision."""

import json
import math
import pathlib

import torch

from model import Vae

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
BATCH, DRAWS = 2, 3


def numbers(tensor):
    return [round(float(v), 9) for v in tensor.detach().flatten()]


def gradients(model, x, noise, objective):
    """The gradient of the sum of the negative bounds, and the sum of the bounds."""
    names, parameters = zip(*model.slots())
    bound = objective["bound"]
    if bound == "vae":
        options = {"beta": objective["beta"], "closed_form": objective["closed_form_kl"]}
        loss = -model.log_weights(x, noise, **options)[0].mean(1).sum()
        return -loss.item(), dict(zip(names, torch.autograd.grad(loss, parameters)))
    log_w, latents = model.log_weights(x, noise)
    value = (log_w.logsumexp(1) - math.log(DRAWS)).sum()
    plain = torch.autograd.grad(-value, parameters)
    if bound == "iwae":
        return value.item(), dict(zip(names, plain))
    # DReG: for the encoder, the derivative through the latents alone, each draw weighted by the square of its normalised weight. The weights are
    # constants, so that this is the gradient of Σ w̃² log w with log q's own parameters held.
    weights = log_w.softmax(1).detach()
    held, _ = model.log_weights(x, noise, stop=True)
    path = torch.autograd.grad(-(weights**2 * held).sum(), parameters, allow_unused=True)
    both = [b if name.startswith("encoder") else a for name, a, b in zip(names, plain, path)]
    return value.item(), dict(zip(names, both))


def case(config, **options):
    objective = {"bound": "vae", "draws": DRAWS, "closed_form_kl": False, "beta": 1.0, "kl_warmup": 0, **options}
    model = Vae(config)
    x = (torch.rand(BATCH, config["dimensions"]) < 0.5).double()
    noise = [torch.randn(BATCH, DRAWS, layer["latent"]) for layer in config["layers"]]
    # What single precision holds, on both sides.
    for tensor in [*noise, *(p.data for _, p in model.slots())]:
        tensor.copy_(tensor.float().double())
    value, gradient = gradients(model, x, noise, objective)
    return {
        "config": config,
        "objective": objective,
        "parameters": {name: numbers(p) for name, p in model.slots()},
        "x": numbers(x),
        "noise": [numbers(n) for n in noise],
        "bound": value,
        "gradient": {name: numbers(g) for name, g in gradient.items()},
    }


def config(layers, convolutions=(), activation="tanh"):
    image = {"channels": 1, "height": 4, "width": 4}
    return {
        "dimensions": 16 if convolutions else 6,
        "activation": activation,
        "likelihood": {"kind": "bernoulli"},
        "layers": [{"hidden": hidden, "latent": latent} for hidden, latent in layers],
        **({"image": image, "convolutions": list(convolutions)} if convolutions else {}),
    }


models = [config([([4], 3)]), config([([4], 3), ([3], 2)]), config([([4], 2)], convolutions=[2], activation="relu")]
objectives = [{}, {"closed_form_kl": True, "beta": 0.5}, {"bound": "iwae"}, {"bound": "dreg"}]
cases = [case(m, **o) for m in models for o in objectives]
path = pathlib.Path(__file__).parents[3] / "crates/kexue-vae/tests/pytorch.json"
path.write_text(json.dumps(cases, separators=(",", ":")) + "\n")
print(path, len(cases), "cases,", path.stat().st_size, "bytes")

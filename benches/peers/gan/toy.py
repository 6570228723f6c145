"""Trains a critic and a generator on a ring of eight modes in PyTorch, with the preset `mlp` of `kexue gan train`.

    toy.py [--normalizer none|gp|gn|gran] [--steps 5000] [--seed 0] [--latent 2] [--beta1 0.5] [--penalty-weight 0.1]

It is an independent twin: what a setting does here, it should do there. Prints modes covered, the share of good samples and the mean distance from
the nearest mode, of the moving average and of the last weights, four times along the training.
"""

import argparse
import copy
import math

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--normalizer", default="gn", choices=["none", "gp", "gn", "gran"])
parser.add_argument("--steps", type=int, default=5000)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--latent", type=int, default=2)
parser.add_argument("--width", type=int, default=128)
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--critic-learning-rate", type=float, default=1e-3)
parser.add_argument("--generator-learning-rate", type=float, default=1e-3)
parser.add_argument("--beta1", type=float, default=0.5)
parser.add_argument("--beta2", type=float, default=0.9)
parser.add_argument("--average", type=float, default=0.99)
parser.add_argument("--penalty-weight", type=float, default=0.1)
options = parser.parse_args()

torch.set_num_threads(1)
torch.manual_seed(options.seed)
SPREAD = 0.02
MODES = torch.tensor([[2 * math.cos(k * math.pi / 4), 2 * math.sin(k * math.pi / 4)] for k in range(8)])


def mlp(sizes, activation):
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layer = torch.nn.Linear(inputs, outputs)
        torch.nn.init.kaiming_normal_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        layers += [layer, activation()]
    return torch.nn.Sequential(*layers[:-1])


hidden = [options.width] * 3
critic = mlp([2, *hidden, 1], lambda: torch.nn.LeakyReLU(0.2))
generator = mlp([options.latent, *hidden, 2], torch.nn.ReLU)
average = copy.deepcopy(generator)


def noise(count):
    return torch.randn(count, options.latent)


def gradient_norms(points):
    return torch.autograd.grad(critic(points).sum(), points, create_graph=True)[0].norm(dim=1)


def normalized(points):
    if not points.requires_grad:
        points.requires_grad_()
    scores = critic(points)[:, 0]
    if options.normalizer in ("none", "gp"):
        return scores
    norms = gradient_norms(points)
    return scores / (norms + scores.abs()) if options.normalizer == "gn" else scores * norms / (norms**2 + 0.1)


@torch.no_grad()
def judge(network):
    distances, modes = torch.cdist(network(noise(4096)), MODES).min(1)
    good = distances <= 3 * SPREAD
    enough = 4096 / len(MODES) / 10
    covered = sum(int((good & (modes == mode)).sum() >= enough) for mode in range(len(MODES)))
    return f"{covered} modes, {100 * good.float().mean():.1f} % good, distance {distances.mean():.3f}"


betas = (options.beta1, options.beta2)
critic_optimizer = torch.optim.Adam(critic.parameters(), options.critic_learning_rate, betas)
generator_optimizer = torch.optim.Adam(generator.parameters(), options.generator_learning_rate, betas)
for step in range(options.steps):
    for optimizer, rate in (
        (critic_optimizer, options.critic_learning_rate),
        (generator_optimizer, options.generator_learning_rate),
    ):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / options.steps)

    real = MODES[torch.randint(len(MODES), (options.batch,))] + SPREAD * torch.randn(options.batch, 2)
    with torch.no_grad():
        fake = generator(noise(options.batch))
    scores = normalized(torch.cat([real, fake]))
    loss = torch.relu(1 - scores[: options.batch]).mean() + torch.relu(1 + scores[options.batch :]).mean()
    if options.normalizer == "gp":
        shares = torch.rand(options.batch, 1)
        between = (shares * real + (1 - shares) * fake).requires_grad_()
        loss = loss + options.penalty_weight * ((gradient_norms(between) - 1) ** 2).mean()
    critic_optimizer.zero_grad()
    loss.backward()
    critic_optimizer.step()

    loss = -normalized(generator(noise(options.batch))).mean()
    generator_optimizer.zero_grad()
    loss.backward()
    generator_optimizer.step()
    with torch.no_grad():
        for kept, new in zip(average.parameters(), generator.parameters()):
            kept.lerp_(new, 1 - options.average)
    if (step + 1) % max(1, options.steps // 4) == 0:
        print(f"step {step + 1}: average {judge(average)}; last {judge(generator)}", flush=True)

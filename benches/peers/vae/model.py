"""The variational autoencoder of kexue-vae, written independently in PyTorch."""

import copy
import math

import torch
from torch import nn


def dense(widths, activation):
    layers = []
    for i, (a, b) in enumerate(zip(widths, widths[1:])):
        layers.append(nn.Linear(a, b))
        if i + 2 < len(widths):
            layers.append(activation())
    return nn.Sequential(*layers)


class Image(nn.Module):
    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, x):
        return x.reshape(x.shape[0], *self.shape)


def normal(z, mean, log_std):
    return (-0.5 * ((z - mean) / log_std.exp()) ** 2 - log_std - 0.5 * math.log(2 * math.pi)).sum(-1)


class Vae(nn.Module):
    """config: the [model] table of a run."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        act = {"tanh": nn.Tanh, "relu": nn.ReLU}[config["activation"]]
        layers, d = config["layers"], config["dimensions"]
        convolutions, image = config.get("convolutions", []), config.get("image")
        self.encoders, self.decoders = nn.ModuleList(), nn.ModuleList()
        below = d
        for i, layer in enumerate(layers):
            head, width = [], below
            if i == 0 and convolutions:
                c, h, w = image["channels"], image["height"], image["width"]
                head.append(Image(c, h, w))
                for channels in convolutions:
                    head += [nn.Conv2d(c, channels, 4, 2, 1), act()]
                    c, h, w = channels, h // 2, w // 2
                head.append(nn.Flatten())
                width = c * h * w
            self.encoders.append(nn.Sequential(*head, *dense([width, *layer["hidden"], 2 * layer["latent"]], act)))
            below = layer["latent"]
        for i, layer in enumerate(layers):
            hidden = layer["hidden"][::-1]
            if i == 0 and convolutions:
                n = len(convolutions)
                c, h, w = convolutions[-1], image["height"] >> n, image["width"] >> n
                parts = [*dense([layer["latent"], *hidden, c * h * w], act), act(), Image(c, h, w)]
                for channels in [*convolutions[::-1][1:], image["channels"]]:
                    parts += [nn.ConvTranspose2d(c, channels, 4, 2, 1), act()]
                    c = channels
                self.decoders.append(nn.Sequential(*parts[:-1], nn.Flatten()))
            else:
                out = d if i == 0 else 2 * layers[i - 1]["latent"]
                self.decoders.append(dense([layer["latent"], *hidden, out], act))

    def slots(self):
        """Parameters by our names: layers are counted without their activations."""
        for kind, networks in (("encoder", self.encoders), ("decoder", self.decoders)):
            for i, network in enumerate(networks):
                layers = [m for m in network if hasattr(m, "weight")]
                for j, module in enumerate(layers):
                    yield f"{kind}.{i}.{j}.weight", module.weight
                    yield f"{kind}.{i}.{j}.bias", module.bias

    def log_weights(self, x, noise, stop=False, beta=1.0, closed_form=False):
        """x [batch, d]; noise: by layer [batch, k, latents]. stop: leave the encoder's parameters out of log q. Returns log w [batch, k] and the latents."""
        k, top = noise[0].shape[1], len(noise) - 1
        latents, log_q, below, kl = [], 0.0, x, 0.0
        for i, (encoder, epsilon) in enumerate(zip(self.encoders, noise)):
            flat = below.reshape(-1, below.shape[-1])
            mean, log_std = encoder(flat).reshape(*below.shape[:-1], -1).chunk(2, -1)
            if i == 0:
                mean, log_std = mean[:, None], log_std[:, None]
            z = mean + log_std.exp() * epsilon
            latents.append(z)
            if closed_form and i == top:
                kl = (0.5 * (mean**2 + (2 * log_std).exp() - 1) - log_std).sum(-1)
            elif stop:
                # The same density with the parameters held: differentiable in z and in the latents below.
                frozen = copy.deepcopy(encoder)
                for p in frozen.parameters():
                    p.requires_grad_(False)
                m, s = frozen(flat).reshape(*below.shape[:-1], -1).chunk(2, -1)
                if i == 0:
                    m, s = m[:, None], s[:, None]
                log_q = log_q + normal(z, m, s)
            else:
                log_q = log_q + normal(z, mean, log_std)
            below = z
        log_p = 0.0 if closed_form else normal(latents[-1], torch.zeros(()), torch.zeros(()))
        for i in range(top, 0, -1):
            mean, log_std = self.decoders[i](latents[i]).chunk(2, -1)
            log_p = log_p + normal(latents[i - 1], mean, log_std)
        z = latents[0]
        logits = self.decoders[0](z.reshape(-1, z.shape[-1])).reshape(*z.shape[:-1], -1)
        target = x[:, None].expand_as(logits)
        likelihood = -nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(-1)
        return likelihood + beta * (log_p - log_q - kl), latents

    def loss(self, x, noise, bound):
        """The sum over the batch of the negative bound; automatic differentiation gives the gradient of the vae and iwae estimators."""
        log_w, _ = self.log_weights(x, noise)
        if bound == "vae":
            return -log_w.mean(1).sum()
        return -(log_w.logsumexp(1) - math.log(log_w.shape[1])).sum()

"""The networks of a convolutional GAN and their losses in PyTorch and in JAX, with our values."""

from __future__ import annotations

from typing import Any

import numpy

from autograd import backend, constant
from scratchgen.models.adversarial.gan import GAN
from scratchgen.models.adversarial.networks import SLOPE

PLAYERS = ("critic", "generator")


class TorchGAN:
    """The convolutional ``model`` with its values: of images whose sides can be halved so often.

    Its loss is wgan-gp, or nonsaturating with batch normalisation in the critic. ``last``: channels
    last.
    """

    def __init__(self, torch: Any, model: GAN, last: bool, device: str = "cpu") -> None:
        self.torch, self.config, self.device = torch, model.config, device
        assert self.config.loss in ("wgan-gp", "nonsaturating")
        self.format = torch.channels_last if last else torch.contiguous_format
        self.smallest = model.generator.smallest
        self.parameters: dict[str, list[Any]] = {name: [] for name in PLAYERS}
        height, width, channels = self.smallest
        first, score = model.generator.first, model.critic.score
        # the smallest image is (C, H, W) here
        image = numpy.arange(height * width * channels).reshape(self.smallest)
        order = image.transpose(2, 0, 1).ravel()
        self.first = [
            self._parameter("generator", numpy.ascontiguousarray(_host(first.weight).T[order])),
            self._parameter("generator", _host(first.bias)[order]),
        ]
        self.score = [
            self._parameter("critic", numpy.ascontiguousarray(_host(score.weight).T[:, order])),
            self._parameter("critic", _host(score.bias)),
        ]
        self.double = [self._convolution("generator", layer) for layer in model.generator.double]
        self.halve = [self._convolution("critic", layer) for layer in model.critic.halve]
        players: dict[str, Any] = model.players
        self.norms = {
            player: [self._norm(player, layer) for layer in module.norms]
            for player, (module, _) in players.items()
        }

    def _parameter(self, player: str, value: numpy.ndarray) -> Any:
        x = self.torch.from_numpy(value.copy()).to(self.device)
        if x.ndim == 4:
            x = x.contiguous(memory_format=self.format)
        self.parameters[player].append(x.requires_grad_())
        return x

    def _convolution(self, player: str, layer: Any) -> list[Any]:
        """Weight and bias, if there is one; of a transposed one too the inputs come first then."""
        weight = numpy.ascontiguousarray(_host(layer.weight).transpose(3, 2, 0, 1))
        bias = None if layer.bias is None else self._parameter(player, _host(layer.bias))
        return [self._parameter(player, weight), bias]

    def _norm(self, player: str, layer: Any) -> dict[str, Any]:
        return {
            "running_mean": self.torch.tensor(_host(layer.mean), device=self.device),
            "running_var": self.torch.tensor(_host(layer.variance), device=self.device),
            "weight": self._parameter(player, _host(layer.gain)),
            "bias": self._parameter(player, _host(layer.bias)),
        }

    def generator(self, z: Any, training: bool = True) -> Any:
        """(N, latents) → (N, 1, H, W)"""
        F = self.torch.nn.functional
        height, width, channels = self.smallest
        h = F.linear(z, *self.first).view(-1, channels, height, width)
        h = h.contiguous(memory_format=self.format)
        nothing: list[Any] = [None] * len(self.double)
        norms = self.norms["generator"] or nothing
        for norm, (weight, bias) in zip(norms, self.double, strict=True):
            if norm:
                h = F.batch_norm(h, **norm, training=training, momentum=0.1)
            h = F.conv_transpose2d(F.relu(h), weight, bias, stride=2, padding=1)
        return self.torch.tanh(h)

    def critic(self, x: Any) -> Any:
        """(N, 1, H, W) → (N,)"""
        F = self.torch.nn.functional
        for i, (weight, bias) in enumerate(self.halve):
            x = F.conv2d(x, weight, bias, stride=2, padding=1)
            if i and self.norms["critic"]:
                x = F.batch_norm(x, **self.norms["critic"][i - 1], training=True, momentum=0.1)
            x = F.leaky_relu(x, SLOPE)
        return F.linear(x.flatten(1), *self.score)[:, 0]

    def loss(self, player: str, x: Any, noise: Any = None, epsilon: Any = None) -> Any:
        """What that player minimises, for images (N, 1, H, W) of levels.

        ``noise`` (N, latents) and ``epsilon`` (N, 1, 1, 1) are drawn if they are None.
        """
        self.freeze(player == "generator")
        if player == "generator":
            return self.generator_loss(len(x), noise)
        return self.critic_loss(x, noise, epsilon)

    def generator_loss(self, n: int, noise: Any = None) -> Any:
        """The generator's, with ``n`` draws; the critic should be frozen."""
        scores = self.critic(self.generator(self._noise(n) if noise is None else noise))
        if self.config.loss == "wgan-gp":
            return -scores.mean()
        return self.torch.nn.functional.softplus(-scores).mean()

    def critic_loss(self, x: Any, noise: Any = None, epsilon: Any = None) -> Any:
        """The critic's."""
        torch, softplus = self.torch, self.torch.nn.functional.softplus
        real = x.float() * (2 / (self.config.levels - 1)) - 1
        real = real.contiguous(memory_format=self.format)
        with torch.no_grad():
            fake = self.generator(self._noise(len(x)) if noise is None else noise)
        if self.config.loss == "nonsaturating":
            return softplus(-self.critic(real)).mean() + softplus(self.critic(fake)).mean()
        loss = self.critic(fake).mean() - self.critic(real).mean()
        if epsilon is None:
            epsilon = torch.rand(len(x), 1, 1, 1, device=self.device)
        between = (epsilon * real + (1 - epsilon) * fake).requires_grad_()
        scores = self.critic(between)
        (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
        length = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()
        return loss + self.config.penalty * (length - 1).square().mean()

    def sample(self, n: int) -> Any:
        """``n`` images (n, 1, H, W), each value the nearest level."""
        x = self.generator(self._noise(n), training=False)
        return self.torch.round((x + 1) * ((self.config.levels - 1) / 2)).long()

    def _noise(self, n: int) -> Any:
        return self.torch.randn(n, self.config.latents, device=self.device)

    def freeze(self, frozen: bool) -> None:
        """Make the critic's weights constants, or no longer."""
        for x in self.parameters["critic"]:
            x.requires_grad_(not frozen)


def _host(x: Any) -> numpy.ndarray:
    """A parameter or a buffer as a NumPy array."""
    return backend.to_numpy(constant(x))


class JaxGAN:
    """The same networks with the loss wgan-gp, as functions of their values by name."""

    def __init__(self, jax: Any, model: GAN, products: bool) -> None:
        assert model.config.loss == "wgan-gp"
        self.jax, self.config, self.smallest = jax, model.config, model.generator.smallest
        self.halve = self._halve_by_products if products else self._halve

    def drawn_loss(
        self, player: str, learnt: Any, carry: Any, x: Any, others: Any
    ) -> tuple[Any, Any]:
        """What that player minimises, with random numbers drawn; and the next carry.

        ``learnt``: its values; ``others``: those of the other player. What is handed on is the
        running statistics of batch normalisation, and a random key.
        """
        random, (running, key) = self.jax.random, carry
        key, of_noise, of_epsilon = random.split(key, 3)
        noise = random.normal(of_noise, (len(x), self.config.latents))
        epsilon = random.uniform(of_epsilon, (len(x), 1, 1, 1))
        values = {**learnt, **others, **running}
        loss, running = self.loss(player, values, x, noise, epsilon)
        return loss, (running, key)

    def loss(self, player: str, values: Any, x: Any, noise: Any, epsilon: Any) -> tuple[Any, Any]:
        """The same with random numbers given; and the running statistics afterwards."""
        np = self.jax.numpy
        fake, running = self.generator(values, noise, training=True)
        if player == "generator":
            return -self.critic(values, fake).mean(), running
        real = x * np.float32(2 / (self.config.levels - 1)) - 1
        between = epsilon * real + (1 - epsilon) * fake
        slope = self.jax.grad(lambda x: self.critic(values, x).sum())(between)
        length = np.sqrt((slope**2).sum((1, 2, 3)) + 1e-12)
        loss = self.critic(values, fake).mean() - self.critic(values, real).mean()
        return loss + self.config.penalty * ((length - 1) ** 2).mean(), running

    def generator(self, values: Any, z: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        """(N, latents) → (N, H, W, 1), and the running statistics afterwards."""
        jax = self.jax
        running: dict[str, Any] = {}
        h = z @ values["generator.first.weight"] + values["generator.first.bias"]
        h = h.reshape(-1, *self.smallest)
        for i in range(self.config.layers):
            if self.config.norm == "batch":
                h, now = self._norm(values, f"generator.norms.{i}", h, training)
                running |= now
            h = self._double(jax.nn.relu(h), values[f"generator.double.{i}.weight"])
            h = h + values.get(f"generator.double.{i}.bias", 0)
        return jax.numpy.tanh(h), running

    def _norm(self, values: Any, name: str, h: Any, training: bool) -> tuple[Any, dict[str, Any]]:
        mean, variance = values[f"{name}.mean"], values[f"{name}.variance"]
        running: dict[str, Any] = {}
        if training:
            count, old = h.size // h.shape[-1], (mean, variance)
            mean, variance = h.mean((0, 1, 2)), h.var((0, 1, 2))
            now = mean, variance * (count / (count - 1))
            names = f"{name}.mean", f"{name}.variance"
            running = {n: 0.9 * a + 0.1 * b for n, a, b in zip(names, old, now, strict=True)}
        scale = values[f"{name}.gain"] / self.jax.numpy.sqrt(variance + 1e-5)
        return (h - mean) * scale + values[f"{name}.bias"], running

    def critic(self, values: Any, x: Any) -> Any:
        """(N, H, W, 1) → (N,)"""
        jax = self.jax
        for i in range(self.config.layers):
            x = self.halve(x, values[f"critic.halve.{i}.weight"])
            x = jax.nn.leaky_relu(x + values[f"critic.halve.{i}.bias"], SLOPE)
        x = x.reshape(len(x), -1)
        return (x @ values["critic.score.weight"] + values["critic.score.bias"])[:, 0]

    def _halve(self, x: Any, weight: Any) -> Any:
        """The convolution in steps of two, (N, H, W, C) → (N, H / 2, W / 2, D)."""
        layouts = ("NHWC", "HWIO", "NHWC")
        padding = [(1, 1), (1, 1)]
        conv = self.jax.lax.conv_general_dilated
        return conv(x, weight, (2, 2), padding, dimension_numbers=layouts)

    def _halve_by_products(self, x: Any, weight: Any) -> Any:
        """The same as a product of matrices: of each place's 4 · 4 · C numbers and the weight."""
        np, (n, height, width, channels) = self.jax.numpy, x.shape
        h, w = height // 2, width // 2
        x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        x = x.reshape(n, h + 1, 2, w + 1, 2, channels).swapaxes(2, 3)
        x = x.reshape(n, h + 1, w + 1, 4 * channels)  # 2 × 2 pixels in one
        corners = [x[:, a : a + h, b : b + w] for a in (0, 1) for b in (0, 1)]
        weight = weight.reshape(2, 2, 2, 2, channels, -1).swapaxes(1, 2)
        return np.concatenate(corners, -1) @ weight.reshape(16 * channels, -1)

    def _double(self, x: Any, weight: Any) -> Any:
        """Its transpose, (N, H, W, D) → (N, 2 H, 2 W, C)."""
        n, height, width, _ = x.shape
        shape = self.jax.ShapeDtypeStruct((n, 2 * height, 2 * width, weight.shape[2]), x.dtype)
        return self.jax.linear_transpose(lambda y: self.halve(y, weight), shape)(x)[0]

    def sample(self, values: Any, key: Any, n: int) -> tuple[Any, Any]:
        """``n`` images (n, H, W, 1), each value the nearest level; and the next key."""
        np, (key, own) = self.jax.numpy, self.jax.random.split(key)
        z = self.jax.random.normal(own, (n, self.config.latents))
        x, _ = self.generator(values, z, training=False)
        return np.round((x + 1) * ((self.config.levels - 1) / 2)).astype(int), key

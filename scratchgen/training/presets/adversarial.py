"""Models of a generator and a critic."""

from __future__ import annotations

from scratchgen.models.adversarial.gan import GAN, GANConfig
from scratchgen.models.adversarial.points import PointGAN, PointGANConfig
from scratchgen.training.media.points import POINTS
from scratchgen.training.presets.preset import Preset
from scratchgen.training.settings import TrainingSettings

PRESETS = {
    "gan": Preset(
        GAN,
        GANConfig(network="conv", hidden=32),
        "digits",
        TrainingSettings(epochs=120, learning_rate=2e-4, beta1=0.5, average=0.99),
        "a generator of images learns from a critic who tells them from data",
        density=False,
    ),
    "gan-2d": Preset(
        PointGAN,
        PointGANConfig(),
        "eight-gaussians",
        TrainingSettings(
            epochs=30,
            batch_size=256,
            learning_rate=2e-3,
            beta1=0.5,
            schedule="cosine",
            average=0.99,
        ),
        "the same for points, with a critic who measures the distance of transport",
        medium=POINTS,
        density=False,
    ),
}

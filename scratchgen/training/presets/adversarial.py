"""Models of a generator and a critic."""

from __future__ import annotations

from scratchgen.models.adversarial.bigan import BiGAN, BiGANConfig
from scratchgen.models.adversarial.cyclegan import CycleGAN, CycleGANConfig
from scratchgen.models.adversarial.gan import GAN, GANConfig
from scratchgen.models.adversarial.infogan import InfoGAN, InfoGANConfig
from scratchgen.models.adversarial.msggan import MSGGAN, MSGGANConfig
from scratchgen.models.adversarial.pix2pix import Pix2Pix, Pix2PixConfig
from scratchgen.models.adversarial.points import PointGAN, PointGANConfig
from scratchgen.models.adversarial.progressivegan import ProgressiveGAN, ProgressiveGANConfig
from scratchgen.models.adversarial.stackgan import StackGAN, StackGANConfig
from scratchgen.training.media.points import POINTS
from scratchgen.training.presets.preset import Preset
from scratchgen.training.settings import TrainingSettings

_RESOLUTIONS = TrainingSettings(
    epochs=15, epoch_steps=100, batch_size=32, learning_rate=6e-3, beta1=0.0, average=0.99
)
"""Of models whose weights have size 1, and are scaled to what layers need."""

PRESETS = {
    "gan": Preset(
        GAN,
        GANConfig(network="conv", hidden=32),
        "digits",
        TrainingSettings(epochs=20, epoch_steps=100, learning_rate=2e-4, beta1=0.5, average=0.99),
        "a generator of images learns from a critic who tells them from data",
        density=False,
    ),
    "gan-2d": Preset(
        PointGAN,
        PointGANConfig(),
        "eight-gaussians",
        TrainingSettings(
            epochs=20,
            epoch_steps=100,
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
    "infogan": Preset(
        InfoGAN,
        InfoGANConfig(network="conv", hidden=32, latents=8),
        "digits",
        TrainingSettings(epochs=30, epoch_steps=100, learning_rate=2e-4, beta1=0.5, average=0.99),
        "a GAN whose images tell a category and codes of their noise, without any labels",
        density=False,
    ),
    "bigan": Preset(
        BiGAN,
        BiGANConfig(network="conv", hidden=32, latents=16),
        "digits",
        TrainingSettings(epochs=20, epoch_steps=100, learning_rate=5e-4, beta1=0.5, average=0.99),
        "beside the generator an encoder, and a critic of pairs of image and code",
        density=False,
    ),
    "pix2pix": Preset(
        Pix2Pix,
        Pix2PixConfig(),
        "digits",
        TrainingSettings(epochs=20, epoch_steps=50, learning_rate=1e-3, beta1=0.5, average=0.99),
        "images out of their outlines, learnt from pairs and a critic of patches",
        density=False,
    ),
    "cyclegan": Preset(
        CycleGAN,
        CycleGANConfig(identity=5.0),
        "digits",
        TrainingSettings(epochs=20, epoch_steps=50, learning_rate=1e-3, beta1=0.5, average=0.99),
        "images out of outlines and back, learnt without pairs",
        density=False,
    ),
    "progressivegan": Preset(
        ProgressiveGAN,
        ProgressiveGANConfig(),
        "digits",
        _RESOLUTIONS,
        "networks of small images that grow to make and judge larger ones",
        density=False,
    ),
    "msggan": Preset(
        MSGGAN,
        MSGGANConfig(),
        "digits",
        _RESOLUTIONS,
        "an image at all resolutions at once, and a critic who sees them all",
        density=False,
    ),
    "stackgan": Preset(
        StackGAN,
        StackGANConfig(),
        "digits",
        TrainingSettings(epochs=40, epoch_steps=100, learning_rate=2e-4, beta1=0.5, average=0.99),
        "a small image of the class asked for, and a second generator that makes it large",
        density=False,
    ),
}

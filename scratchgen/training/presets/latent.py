"""Models with latent variables."""

from __future__ import annotations

from scratchgen.models.latent.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    Denoiser,
    DenoiserConfig,
)
from scratchgen.models.latent.bayes import ImageBayes, ImageBayesConfig
from scratchgen.models.latent.flowvae import FlowVAE, FlowVAEConfig
from scratchgen.models.latent.gmm import (
    GaussianMixture,
    GaussianMixtureConfig,
    ImageMixture,
    ImageMixtureConfig,
)
from scratchgen.models.latent.gumbelvae import GumbelVAE, GumbelVAEConfig
from scratchgen.models.latent.ladder import LadderConfig, LadderVAE
from scratchgen.models.latent.m2 import M2, M2Config
from scratchgen.models.latent.vae import VAE, VAEConfig
from scratchgen.training.media.points import POINTS
from scratchgen.training.presets.preset import Preset
from scratchgen.training.settings import TrainingSettings

PRESETS = {
    "autoencoder": Preset(
        Autoencoder,
        AutoencoderConfig(),
        "digits",
        TrainingSettings(epochs=40, learning_rate=2e-3, schedule="cosine", average=0.98),
        "a code of few numbers, and the image back from it: no density",
        density=False,
    ),
    "denoiser": Preset(
        Denoiser,
        DenoiserConfig(),
        "digits",
        TrainingSettings(epochs=60, learning_rate=2e-3, schedule="cosine", average=0.98),
        "an autoencoder that is shown images with values missing: a Markov chain draws",
        density=False,
    ),
    "vae": Preset(
        VAE,
        VAEConfig(),
        "digits",
        TrainingSettings(epochs=40, learning_rate=6e-3, schedule="cosine", average=0.98),
        "a decoder makes images of noise, an encoder finds the noise of an image",
    ),
    "convvae": Preset(
        VAE,
        VAEConfig(network="conv", hidden=32, layers=1, dropout=0.0, kl_warmup=200),
        "digits",
        TrainingSettings(epochs=40, schedule="cosine", average=0.98),
        "the same with convolutional networks",
    ),
    "iwae": Preset(
        VAE,
        VAEConfig(samples=5),
        "digits",
        TrainingSettings(epochs=40, learning_rate=6e-3, schedule="cosine", average=0.98),
        "the same trained on the tighter bound from five codes an image",
    ),
    "cvae": Preset(
        VAE,
        VAEConfig(classes=10),
        "digits",
        TrainingSettings(epochs=40, learning_rate=6e-3, schedule="cosine", average=0.98),
        "the same given the class of an image",
    ),
    "planarvae": Preset(
        FlowVAE,
        FlowVAEConfig(posterior="planar"),
        "digits",
        TrainingSettings(epochs=60, learning_rate=2e-3, schedule="cosine", average=0.98),
        "a variational autoencoder whose codes are bent by planar transforms",
    ),
    "radialvae": Preset(
        FlowVAE,
        FlowVAEConfig(posterior="radial"),
        "digits",
        TrainingSettings(epochs=60, learning_rate=2e-3, schedule="cosine", average=0.98),
        "the same with radial transforms",
    ),
    "iafvae": Preset(
        FlowVAE,
        FlowVAEConfig(posterior="iaf", transforms=2),
        "digits",
        TrainingSettings(epochs=60, learning_rate=2e-3, schedule="cosine", average=0.98),
        "the same with inverse autoregressive transforms",
    ),
    "laddervae": Preset(
        LadderVAE,
        LadderConfig(),
        "digits",
        TrainingSettings(epochs=80, learning_rate=2e-3, schedule="cosine", average=0.98),
        "two layers of latent variables, inferred from both ends",
    ),
    "gumbelvae": Preset(
        GumbelVAE,
        GumbelVAEConfig(),
        "digits",
        TrainingSettings(epochs=50, schedule="cosine", average=0.98),
        "a variational autoencoder with categorical codes, relaxed in training",
    ),
    "m2": Preset(
        M2,
        M2Config(),
        "digits",
        TrainingSettings(epochs=60, learning_rate=2e-3, schedule="cosine", average=0.98),
        "told the classes of some images, it learns to tell those of the others",
    ),
    "gmm": Preset(
        ImageMixture,
        ImageMixtureConfig(),
        "digits",
        TrainingSettings(epochs=30, batch_size=100_000),
        "a mixture of normal distributions by EM; a step is an iteration on all images",
        compared_at=17,
    ),
    "gmm-2d": Preset(
        GaussianMixture,
        GaussianMixtureConfig(),
        "checkerboard",
        TrainingSettings(epochs=60, batch_size=100_000),
        "the same for points",
        medium=POINTS,
    ),
    "bayes": Preset(
        ImageBayes,
        ImageBayesConfig(),
        "digits",
        TrainingSettings(epochs=10, batch_size=100_000),
        "a normal distribution or a mixture of each class, and by Bayes' rule the class",
        compared_at=17,
    ),
}

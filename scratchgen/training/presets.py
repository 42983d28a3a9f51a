"""The models that can be trained by name, each with its data set and settings that suit the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scratchgen.config import override
from scratchgen.errors import unknown
from scratchgen.models.autoregressive.characters import CharacterConfig, CharacterModel
from scratchgen.models.autoregressive.diagonalbilstm import DiagonalBiLSTM
from scratchgen.models.autoregressive.fvbn import FVBN, FVBNConfig
from scratchgen.models.autoregressive.gatedpixelcnn import GatedPixelCNN, GatedPixelCNNConfig
from scratchgen.models.autoregressive.made import MADE, MADEConfig
from scratchgen.models.autoregressive.multiscale import MultiScaleConfig, MultiScalePixelCNN
from scratchgen.models.autoregressive.nade import NADE, NADEConfig
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.models.autoregressive.pixelcnnpp import PixelCNNPP, PixelCNNPPConfig
from scratchgen.models.autoregressive.pixelrnn import PixelRNNConfig
from scratchgen.models.autoregressive.rowlstm import RowLSTM
from scratchgen.models.autoregressive.wavenet import WaveNet, WaveNetConfig
from scratchgen.models.flows.glow import Glow, GlowConfig, GlowPoints, GlowPointsConfig
from scratchgen.models.flows.iaf import IAF, IAFConfig, IAFPoints, IAFPointsConfig
from scratchgen.models.flows.maf import MAF, MAFConfig, MAFPoints, MAFPointsConfig
from scratchgen.models.flows.nice import NICE, NICEConfig, NICEPoints, NICEPointsConfig
from scratchgen.models.flows.realnvp import (
    RealNVP,
    RealNVPConfig,
    RealNVPPoints,
    RealNVPPointsConfig,
)
from scratchgen.models.flows.spline import (
    SplineConfig,
    SplineFlow,
    SplinePoints,
    SplinePointsConfig,
)
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
from scratchgen.training.media.images import IMAGES
from scratchgen.training.media.medium import Medium
from scratchgen.training.media.points import POINTS
from scratchgen.training.media.sound import SOUND
from scratchgen.training.media.text import TEXT
from scratchgen.training.settings import TrainingSettings


@dataclass(frozen=True)
class Preset:
    """A model, what it is trained on, and how."""

    model: Callable[[Any, Any], Any]
    """(config, rng) → the model with random initial weights."""
    config: Any
    data: str
    """The name of a data set (:mod:`scratchgen.data`)."""
    training: TrainingSettings
    summary: str
    """A line for the list of models."""
    levels: int | None = None
    """That the images are given, if not their own number; ``--set levels=…`` goes before."""

    medium: Medium = IMAGES
    """What it is a model of."""
    density: bool = True
    """Whether it has a likelihood, or a bound of one, to be compared by."""

    def configured(self, data: Any, changes: Sequence[str]) -> tuple[Any, TrainingSettings]:
        """The model's configuration for data like these, and the settings."""
        fitting = [f"{name}={value}" for name, value in self.medium.fields(data).items()]
        config, settings = override([self.config, self.training], [*fitting, *changes])
        self.medium.check(config, data)
        return config, settings


_TEXT_TRAINING = TrainingSettings(
    epochs=11,
    epoch_steps=250,
    batch_size=16,
    learning_rate=4e-3,
    schedule="cosine",
    warmup=50,
    clip=1.0,
)

PRESETS = {
    "pixelcnn": Preset(
        PixelCNN,
        PixelCNNConfig(),
        "digits",
        TrainingSettings(epochs=25, learning_rate=6e-3, average=0.98),
        "masked convolutions predict each pixel from those before it",
    ),
    "gatedpixelcnn": Preset(
        GatedPixelCNN,
        GatedPixelCNNConfig(),
        "digits",
        TrainingSettings(epochs=25, learning_rate=6e-3, average=0.98),
        "two stacks of gated convolutions: no blind spot; conditioned on classes if asked to",
    ),
    "pixelcnn++": Preset(
        PixelCNNPP,
        PixelCNNPPConfig(),
        "digits",
        TrainingSettings(epochs=20, learning_rate=6e-3, schedule="cosine", average=0.98),
        "mixtures of logistics for whole pixels, from a network of several scales",
    ),
    "multiscale": Preset(
        MultiScalePixelCNN,
        MultiScaleConfig(),
        "digits",
        TrainingSettings(epochs=40, schedule="cosine"),
        "a small image first, then the pixels between, given all of the small one",
    ),
    "rowlstm": Preset(
        RowLSTM,
        PixelRNNConfig(),
        "digits",
        TrainingSettings(epochs=25, learning_rate=6e-3, average=0.98),
        "a recurrent network over the rows of an image",
    ),
    "diagonalbilstm": Preset(
        DiagonalBiLSTM,
        PixelRNNConfig(layers=1),
        "digits",
        TrainingSettings(epochs=22, learning_rate=6e-3, average=0.98),
        "two recurrent networks over its diagonals, which see all earlier pixels",
    ),
    "fvbn": Preset(
        FVBN,
        FVBNConfig(),
        "digits",
        TrainingSettings(epochs=60, patience=10, learning_rate=0.02, schedule="cosine"),
        "a logistic regression of each binary value on all values before it",
        levels=2,
    ),
    "nade": Preset(
        NADE,
        NADEConfig(),
        "digits",
        TrainingSettings(
            epochs=60, patience=10, batch_size=32, learning_rate=0.01, schedule="cosine"
        ),
        "hidden units take in one binary value after the other",
        levels=2,
    ),
    "made": Preset(
        MADE,
        MADEConfig(),
        "digits",
        TrainingSettings(epochs=300, patience=30, learning_rate=0.01, schedule="cosine"),
        "an autoencoder of binary values made autoregressive by masks on its weights",
        levels=2,
    ),
    "charlstm": Preset(
        CharacterModel,
        CharacterConfig(),
        "python",
        _TEXT_TRAINING,
        "an LSTM reads text and predicts each next character",
        medium=TEXT,
    ),
    "chargru": Preset(
        CharacterModel,
        CharacterConfig(cell="gru"),
        "python",
        _TEXT_TRAINING,
        "the same with gated recurrent units",
        medium=TEXT,
    ),
    "wavenet": Preset(
        WaveNet,
        WaveNetConfig(window=2000),
        "speech",
        TrainingSettings(
            epochs=10,
            epoch_steps=25,
            batch_size=8,
            learning_rate=3e-3,
            schedule="cosine",
            average=0.98,
        ),
        "dilated causal convolutions predict each sample of a sound",
        medium=SOUND,
    ),
    "glow": Preset(
        Glow,
        GlowConfig(alpha=0.01, dequantization="variational"),
        "digits",
        TrainingSettings(epochs=30, learning_rate=2e-3, schedule="cosine", average=0.98),
        "invertible 1 × 1 convolutions between couplings, at several scales",
        levels=17,
    ),
    "glow-2d": Preset(
        GlowPoints,
        GlowPointsConfig(),
        "checkerboard",
        TrainingSettings(epochs=20, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        "the same for points",
        medium=POINTS,
    ),
    "maf": Preset(
        MAF,
        MAFConfig(),
        "digits",
        TrainingSettings(epochs=180, learning_rate=4e-3, schedule="cosine", average=0.98),
        "each number is normal given those before it, several times over",
        levels=17,
    ),
    "maf-2d": Preset(
        MAFPoints,
        MAFPointsConfig(),
        "checkerboard",
        TrainingSettings(epochs=20, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        "the same layers for points",
        medium=POINTS,
    ),
    "iaf": Preset(
        IAF,
        IAFConfig(),
        "digits",
        TrainingSettings(epochs=25, learning_rate=1e-2, schedule="cosine", average=0.98),
        "masked autoregressive in the noise: quick to draw from, slow to learn",
        levels=17,
    ),
    "iaf-2d": Preset(
        IAFPoints,
        IAFPointsConfig(),
        "checkerboard",
        TrainingSettings(epochs=12, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        "the same layers for points",
        medium=POINTS,
    ),
    "nice": Preset(
        NICE,
        NICEConfig(),
        "digits",
        TrainingSettings(epochs=100, learning_rate=5e-3, schedule="cosine", average=0.98),
        "half of the numbers shift the other half, in turns; scaled at the end",
        levels=17,
    ),
    "nice-2d": Preset(
        NICEPoints,
        NICEPointsConfig(),
        "checkerboard",
        TrainingSettings(epochs=20, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        "the same for points",
        medium=POINTS,
    ),
    "realnvp": Preset(
        RealNVP,
        RealNVPConfig(),
        "digits",
        TrainingSettings(epochs=50, learning_rate=4e-3, schedule="cosine", average=0.99),
        "half of the numbers scale and shift the other half, at several scales",
        levels=17,
    ),
    "realnvp-2d": Preset(
        RealNVPPoints,
        RealNVPPointsConfig(),
        "checkerboard",
        TrainingSettings(epochs=20, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        "the same for points",
        medium=POINTS,
    ),
    "autoencoder": Preset(
        Autoencoder,
        AutoencoderConfig(),
        "digits",
        TrainingSettings(epochs=40, learning_rate=2e-3, schedule="cosine", average=0.98),
        "a code of few numbers, and the image back from it: no density",
        levels=17,
        density=False,
    ),
    "denoiser": Preset(
        Denoiser,
        DenoiserConfig(),
        "digits",
        TrainingSettings(epochs=60, learning_rate=2e-3, schedule="cosine", average=0.98),
        "an autoencoder that is shown images with values missing: a Markov chain draws",
        levels=17,
        density=False,
    ),
    "laddervae": Preset(
        LadderVAE,
        LadderConfig(),
        "digits",
        TrainingSettings(epochs=80, learning_rate=2e-3, schedule="cosine", average=0.98),
        "two layers of latent variables, inferred from both ends",
        levels=17,
    ),
    "m2": Preset(
        M2,
        M2Config(),
        "digits",
        TrainingSettings(epochs=60, learning_rate=2e-3, schedule="cosine", average=0.98),
        "told the classes of some images, it learns to tell those of the others",
        levels=17,
    ),
    "gmm": Preset(
        ImageMixture,
        ImageMixtureConfig(),
        "digits",
        TrainingSettings(epochs=30, batch_size=100_000),
        "a mixture of normal distributions by EM; a step is an iteration on all images",
        levels=17,
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
        levels=17,
    ),
    "spline": Preset(
        SplineFlow,
        SplineConfig(),
        "digits",
        TrainingSettings(epochs=32, learning_rate=4e-3, schedule="cosine", average=0.98),
        "half of the numbers say what splines transform the other half, in turns",
        levels=17,
    ),
    "spline-2d": Preset(
        SplinePoints,
        SplinePointsConfig(),
        "checkerboard",
        TrainingSettings(epochs=15, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        "the same for points",
        medium=POINTS,
    ),
    "planarvae": Preset(
        FlowVAE,
        FlowVAEConfig(posterior="planar"),
        "digits",
        TrainingSettings(epochs=60, learning_rate=2e-3, schedule="cosine", average=0.98),
        "a variational autoencoder whose codes are bent by planar transforms",
        levels=17,
    ),
    "radialvae": Preset(
        FlowVAE,
        FlowVAEConfig(posterior="radial"),
        "digits",
        TrainingSettings(epochs=60, learning_rate=2e-3, schedule="cosine", average=0.98),
        "the same with radial transforms",
        levels=17,
    ),
    "iafvae": Preset(
        FlowVAE,
        FlowVAEConfig(posterior="iaf", transforms=2),
        "digits",
        TrainingSettings(epochs=60, learning_rate=2e-3, schedule="cosine", average=0.98),
        "the same with inverse autoregressive transforms",
        levels=17,
    ),
    "gumbelvae": Preset(
        GumbelVAE,
        GumbelVAEConfig(),
        "digits",
        TrainingSettings(epochs=50, schedule="cosine", average=0.98),
        "a variational autoencoder with categorical codes, relaxed in training",
        levels=17,
    ),
    "vae": Preset(
        VAE,
        VAEConfig(),
        "digits",
        TrainingSettings(epochs=40, learning_rate=6e-3, schedule="cosine", average=0.98),
        "a decoder makes images of noise, an encoder finds the noise of an image",
        levels=17,
    ),
    "convvae": Preset(
        VAE,
        VAEConfig(network="conv", hidden=32, layers=1, dropout=0.0),
        "digits",
        TrainingSettings(epochs=40, schedule="cosine", average=0.98),
        "the same with convolutional networks",
        levels=17,
    ),
    "iwae": Preset(
        VAE,
        VAEConfig(samples=5),
        "digits",
        TrainingSettings(epochs=40, learning_rate=6e-3, schedule="cosine", average=0.98),
        "the same trained on the tighter bound from five codes an image",
        levels=17,
    ),
    "cvae": Preset(
        VAE,
        VAEConfig(classes=10),
        "digits",
        TrainingSettings(epochs=40, learning_rate=6e-3, schedule="cosine", average=0.98),
        "the same given the class of an image",
        levels=17,
    ),
}


def find(name: str) -> Preset:
    """The preset of that name. Raises UsageError, with the nearest name, if there is none."""
    if name not in PRESETS:
        raise unknown("model", name, PRESETS)
    return PRESETS[name]

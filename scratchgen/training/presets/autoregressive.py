"""Autoregressive models, of images, text and sound."""

from __future__ import annotations

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
from scratchgen.training.media.sound import SOUND
from scratchgen.training.media.text import TEXT
from scratchgen.training.presets.preset import Preset
from scratchgen.training.settings import TrainingSettings

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
}

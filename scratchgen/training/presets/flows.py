"""Flows, of images and of points."""

from __future__ import annotations

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
from scratchgen.training.media.points import POINTS
from scratchgen.training.presets.preset import Preset
from scratchgen.training.settings import TrainingSettings

PRESETS = {
    "nice": Preset(
        NICE,
        NICEConfig(),
        "digits",
        TrainingSettings(epochs=100, learning_rate=5e-3, schedule="cosine", average=0.98),
        "half of the numbers shift the other half, in turns; scaled at the end",
        compared_at=17,
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
        RealNVPConfig(dequantization="variational"),
        "digits",
        TrainingSettings(epochs=35, learning_rate=4e-3, schedule="cosine", average=0.99),
        "half of the numbers scale and shift the other half, at several scales",
        compared_at=17,
    ),
    "realnvp-2d": Preset(
        RealNVPPoints,
        RealNVPPointsConfig(),
        "checkerboard",
        TrainingSettings(epochs=20, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        "the same for points",
        medium=POINTS,
    ),
    "glow": Preset(
        Glow,
        GlowConfig(dequantization="variational"),
        "digits",
        TrainingSettings(epochs=30, learning_rate=2e-3, schedule="cosine", average=0.98),
        "invertible 1 × 1 convolutions between couplings, at several scales",
        compared_at=17,
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
        MAFConfig(dequantization="variational"),
        "digits",
        TrainingSettings(epochs=100, learning_rate=4e-3, schedule="cosine", average=0.98),
        "each number is normal given those before it, several times over",
        compared_at=17,
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
        compared_at=17,
    ),
    "iaf-2d": Preset(
        IAFPoints,
        IAFPointsConfig(),
        "checkerboard",
        TrainingSettings(epochs=12, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        "the same layers for points",
        medium=POINTS,
    ),
    "spline": Preset(
        SplineFlow,
        SplineConfig(dequantization="variational"),
        "digits",
        TrainingSettings(epochs=32, learning_rate=4e-3, schedule="cosine", average=0.98),
        "half of the numbers say what splines transform the other half, in turns",
        compared_at=17,
    ),
    "spline-2d": Preset(
        SplinePoints,
        SplinePointsConfig(),
        "checkerboard",
        TrainingSettings(epochs=15, batch_size=256, learning_rate=2e-3, schedule="cosine"),
        "the same for points",
        medium=POINTS,
    ),
}

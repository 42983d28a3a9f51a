"""Invertible functions with their log-determinants, of which flows are made."""

from scratchgen.transforms.actnorm import ActNorm
from scratchgen.transforms.autoregressive import MaskedAutoregressive
from scratchgen.transforms.batchnorm import BatchNormFlow
from scratchgen.transforms.coupling import AdditiveCoupling, AffineCoupling
from scratchgen.transforms.dequantize import Dequantize, VariationalDequantize
from scratchgen.transforms.invertible1x1 import Invertible1x1
from scratchgen.transforms.logit import Logit
from scratchgen.transforms.planar import Planar
from scratchgen.transforms.radial import Radial
from scratchgen.transforms.shapes import Flatten, Permutation, Split, Squeeze
from scratchgen.transforms.spline import RationalQuadraticSpline, SplineCoupling
from scratchgen.transforms.transform import (
    Compose,
    Inverse,
    InverseNotAvailable,
    Transform,
)

__all__ = [
    "ActNorm",
    "AdditiveCoupling",
    "AffineCoupling",
    "BatchNormFlow",
    "Compose",
    "Dequantize",
    "Flatten",
    "Inverse",
    "InverseNotAvailable",
    "Invertible1x1",
    "Logit",
    "MaskedAutoregressive",
    "Permutation",
    "Planar",
    "Radial",
    "RationalQuadraticSpline",
    "SplineCoupling",
    "Split",
    "Squeeze",
    "Transform",
    "VariationalDequantize",
]

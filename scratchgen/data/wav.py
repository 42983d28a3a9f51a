"""Sound: WAV files as numbers in [−1, 1], and their mu-law codes.

The mu-law of the telephone (ITU-T G.711, 1972) spends its codes where the ear is fine: near 0. With
it WaveNet (van den Oord et al., 2016, section 2.2) makes of 65,536 levels 256.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy
from scipy.io import wavfile

from scratchgen.errors import RunError


@dataclass(frozen=True)
class Recording:
    """One channel of sound."""

    rate: int
    """Samples per second."""
    samples: numpy.ndarray
    """(T,) float32 in [−1, 1]."""


def read(path: Path) -> Recording:
    """The sound in a WAV file of 8, 16, 24 or 32 bits or of floats; channels are averaged.

    Integers of b bits are divided by 2^(b − 1) (those of 8 bits, which are unsigned, less 128
    first). Raises RunError, one line, if the file cannot be read, is empty, or holds NaN.
    """
    try:
        with warnings.catch_warnings():
            # of chunks that are no sound, such as a title
            warnings.simplefilter("ignore", wavfile.WavFileWarning)
            rate, values = wavfile.read(path)
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # SciPy raises whatever a damaged file leads to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"{path}: damaged, or not a WAV file ({reason})") from error
    samples = _scaled(values)
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    if len(samples) == 0:
        raise RunError(f"{path}: holds no samples")
    bad = int((~numpy.isfinite(samples)).sum())
    if bad:
        raise RunError(f"{path}: {bad} of {len(samples)} samples are NaN or infinite")
    return Recording(rate, samples.astype("float32"))


def write(path: Path, recording: Recording) -> None:
    """Write a mono WAV file of 16 bits. What is outside [−1, 1] is clipped."""
    values = numpy.rint(recording.samples * 32768).clip(-32768, 32767).astype("int16")
    try:
        wavfile.write(path, recording.rate, values)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error


def mu_law_encode(x: numpy.ndarray, levels: int = 256) -> numpy.ndarray:
    """Codes 0 … µ of samples in [−1, 1], with µ = levels − 1: f(x) from [−1, 1] rounded to them.

    f(x) = sign(x) ln(1 + µ |x|) / ln(1 + µ), and the code is ⌊(f(x) + 1) µ / 2 + 1/2⌋. What is
    outside [−1, 1] is clipped.
    """
    mu = levels - 1
    x = numpy.clip(numpy.asarray(x, "float64"), -1, 1)
    f = numpy.sign(x) * numpy.log1p(mu * numpy.abs(x)) / math.log1p(mu)
    return numpy.floor((f + 1) / 2 * mu + 0.5).astype("uint8" if levels <= 256 else "int32")


def mu_law_decode(codes: numpy.ndarray, levels: int = 256) -> numpy.ndarray:
    """The samples, float32, that the codes stand for: with y = 2 code / µ − 1,

    f⁻¹(y) = sign(y) ((1 + µ)^|y| − 1) / µ. Encoding them again gives the same codes.
    """
    mu = levels - 1
    y = 2 * numpy.asarray(codes, "float64") / mu - 1
    x = numpy.sign(y) * numpy.expm1(numpy.abs(y) * math.log1p(mu)) / mu
    return x.astype("float32")


def _scaled(values: numpy.ndarray) -> numpy.ndarray:
    """The file's numbers as float64, full scale at 1."""
    if values.dtype.kind == "f":
        return values.astype("float64")
    if values.dtype == numpy.uint8:
        return (values.astype("float64") - 128) / 128
    return values / float(-numpy.iinfo(values.dtype).min)  # SciPy puts 24 bits at the top of 32

"""Recordings as sequences of mu-law codes, with their split, and what describes their frames.

Without any file of one's own: 25 seconds of speech that come with the package, see
``speech/README.md`` beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy

from scratchgen.data.images import PARTS
from scratchgen.data.wav import Recording, mu_law_decode, mu_law_encode, read
from scratchgen.errors import RunError, UsageError, unknown

SHORTEST = 100
"""Samples that each part must have."""


@dataclass(frozen=True)
class SoundData:
    """Recordings of one sampling rate as integers 0 … levels − 1, (T,) each, T their own."""

    name: str
    rate: int
    """Samples per second."""
    levels: int
    train: Sequence[numpy.ndarray]
    validation: Sequence[numpy.ndarray]
    test: Sequence[numpy.ndarray]
    speakers: Sequence[str] = ()
    """Their names, if the recordings are in a folder for each."""
    labels: Mapping[str, Sequence[int]] | None = None
    """By the name of the part, the number of the speaker of each recording; None if unknown."""

    def part(self, name: str) -> Sequence[numpy.ndarray]:
        """The recordings of the part "train", "validation" or "test".

        Raises UsageError, with the nearest name, for any other.
        """
        if name not in PARTS:
            raise unknown("part of the data", name, PARTS)
        recordings: Sequence[numpy.ndarray] = getattr(self, name)
        return recordings


def load(path: Path | None = None, levels: int | None = None) -> SoundData:
    """The speech of the package, or a WAV file, or a folder of them, in a fixed split.

    A folder may have a folder of WAV files for each speaker instead. In the order of their names,
    recording i is in the test part if i mod 5 = 4, in the validation part if i mod 5 = 3, and in
    the training part otherwise. Of fewer than five recordings each is cut instead: its first three
    fifths are to train on, the fourth to validate and the last to test.

    ``levels``: of the mu-law; 256 if None. Raises RunError if there is nothing to load, or too
    little, or of several sampling rates; UsageError for an impossible number of levels.
    """
    levels = levels or 256
    if not 2 <= levels <= 65536:
        raise UsageError(f"levels={levels}: 2 to 65536")
    name = "speech" if path is None else str(path)
    groups = _groups(path or Path(__file__).with_name("speech"))
    recordings = [(read(p), k) for k, (_, paths) in enumerate(groups) for p in paths]
    rate = _rate(name, [recording for recording, _ in recordings])
    parts, labels = _split([(mu_law_encode(r.samples, levels), k) for r, k in recordings])
    for part in PARTS:
        found = max(map(len, parts[part]), default=0)
        if found < SHORTEST:
            raise RunError(f"{name}: {found} samples for {part}; at least {SHORTEST} are needed")
    speakers = [speaker for speaker, _ in groups if speaker]
    return SoundData(
        name, rate, levels, **parts, speakers=speakers, labels=labels if speakers else None
    )


def _groups(path: Path) -> list[tuple[str, list[Path]]]:
    """Speakers ("" if unknown) and the paths of their recordings."""
    if path.is_file():
        return [("", [path])]
    own = _wav_files(path)
    if own:
        return [("", own)]
    groups = [(p.name, _wav_files(p)) for p in sorted(path.iterdir()) if p.is_dir()]
    groups = [(name, paths) for name, paths in groups if paths]
    if not groups:
        raise RunError(f"{path}: holds no WAV files, nor folders of them")
    return groups


def _wav_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == ".wav")


def _rate(name: str, recordings: Sequence[Recording]) -> int:
    rates = sorted({recording.rate for recording in recordings})
    if len(rates) > 1:
        raise RunError(f"{name}: recordings of {rates[0]} and {rates[1]} Hz; convert them to one")
    return rates[0]


def _split(
    recordings: Sequence[tuple[numpy.ndarray, int]],
) -> tuple[dict[str, list[numpy.ndarray]], dict[str, list[int]]]:
    """The codes and the speakers by part, without what is empty."""
    fifths = {"train": (0, 1, 2), "validation": (3,), "test": (4,)}
    if len(recordings) >= 5:
        chosen = {
            part: [x for i, x in enumerate(recordings) if i % 5 in fifth]
            for part, fifth in fifths.items()
        }
    else:
        chosen = {
            part: [
                (codes[len(codes) * fifth[0] // 5 : len(codes) * (fifth[-1] + 1) // 5], k)
                for codes, k in recordings
            ]
            for part, fifth in fifths.items()
        }
    chosen = {part: [x for x in found if len(x[0])] for part, found in chosen.items()}
    parts = {part: [codes for codes, _ in found] for part, found in chosen.items()}
    return parts, {part: [k for _, k in found] for part, found in chosen.items()}


def features(codes: numpy.ndarray, levels: int, rate: int, hop: int, bands: int) -> numpy.ndarray:
    """What a listener hears at each moment, roughly: (⌈T / hop⌉, bands) float32.

    Logarithms of the energy in ``bands`` bands, which overlap and whose centres are equally far
    apart in mel, m = 1127 ln (1 + f / 700) (D. O'Shaughnessy 1987), of a Hann window of 4 hops
    around the middle of each frame of ``hop`` samples. Shifted and scaled to about −1 … 1.
    """
    size, frames = 4 * hop, -(-len(codes) // hop)
    padded = numpy.zeros((frames + 3) * hop)
    start = size // 2 - hop // 2
    padded[start : start + len(codes)] = mu_law_decode(codes, levels)
    windows = numpy.lib.stride_tricks.sliding_window_view(padded, size)[::hop][:frames]
    power = numpy.abs(numpy.fft.rfft(windows * numpy.hanning(size))) ** 2 / size
    energy = power @ _mel_filters(size, rate, bands)
    return ((numpy.log(energy + 1e-7) + 8) / 8).astype("float32")


def _mel_filters(size: int, rate: int, bands: int) -> numpy.ndarray:
    """(size // 2 + 1, bands): how much of each frequency counts for each band, triangles."""
    mel = 1127 * numpy.log1p(numpy.arange(size // 2 + 1) * rate / size / 700)
    edges = numpy.linspace(0, mel[-1], bands + 2)
    width = edges[1]
    return numpy.maximum(0, 1 - abs(mel[:, None] - edges[1:-1]) / width)

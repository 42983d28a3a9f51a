"""Sound: fed in windows at random places, measured by the second, drawn as a WAV and a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
from matplotlib.figure import Figure

from autograd import backend, no_grad
from scratchgen import metrics
from scratchgen.data import sound, wav
from scratchgen.data.images import PARTS
from scratchgen.data.loading import existing
from scratchgen.data.sound import SoundData
from scratchgen.errors import RunError, UsageError
from scratchgen.models.autoregressive.wavenet import Conditions
from scratchgen.training.checkpoint import replacing
from scratchgen.training.media.medium import Medium, Request, classes_in_turn

if TYPE_CHECKING:
    from scratchgen.training.run import Run

SECONDS = 2.0
"""How long a sound is drawn by default."""


class Sound(Medium):
    name = "sound"
    unit = "sample"
    bits = "bits per sample"
    suffix = ".wav"
    takes = ("label", "given", "length")

    def load(self, name: str, levels: int | None) -> SoundData:
        path = None if name == "speech" else existing(name, ("speech",))
        return sound.load(path, levels)

    def fields(self, data: SoundData) -> dict[str, int]:
        return {"levels": data.levels}

    def check(self, config: Any, data: SoundData) -> None:
        if config.levels != data.levels:
            raise UsageError(f"levels={config.levels}: {data.name} has {data.levels}")
        if config.classes and not data.speakers:
            raise UsageError(
                f"classes={config.classes}: {data.name} does not say who speaks; "
                "put the recordings of each speaker into a folder of their own"
            )
        if config.classes and config.classes != len(data.speakers):
            raise UsageError(f"classes={config.classes}: {data.name} has {len(data.speakers)}")

    def description(self, data: SoundData) -> dict[str, Any]:
        return {"rate": data.rate}

    def feed(self, model: Any, data: SoundData, batch_size: int) -> Windows:
        return Windows(_Pieces(model.config, data, "train"), batch_size)

    def nats(
        self,
        model: Any,
        data: SoundData,
        part: str,
        quick: bool = False,
        samples: int | None = None,
    ) -> tuple[numpy.ndarray, int]:
        """Of pieces of about one second, each heard from silence; a longer one counts for more."""
        pieces, totals, units = _Pieces(model.config, data, part), [], 0
        with no_grad():
            for i, codes in enumerate(pieces.recordings):
                parts = math.ceil(len(codes) / data.rate)
                length = pieces.in_frames(len(codes) // parts, len(codes))
                for start in range(0, len(codes) - length + 1, length):
                    total = -model.log_prob(*pieces.batch([(i, start)], length))
                    totals.append(backend.to_numpy(total).astype("float64"))
                    units += length
        nats = numpy.concatenate(totals)
        return nats * (len(nats) / units), units  # the mean of these is Σ nats / units

    def references(self, data: SoundData) -> dict[str, float]:
        train, test = (numpy.concatenate(part) for part in (data.train, data.test))
        return {
            "independent samples": metrics.marginal_nats(train, test, data.levels),
            "uniform": math.log(data.levels),
        }

    def draw(self, path: Path, run: Run, request: Request) -> None:
        """One WAV file, of ``n`` sounds after one another, and their picture beside it.

        A given recording is gone on from, after its last second; but where the model is conditioned
        on features, it is that recording which is spoken anew from them, as far as it reaches. The
        speaker is that of a recording of the run's own data, unless another one is asked for.
        """
        n, rate, config = request.n or 1, run.description["medium"]["rate"], run.config
        length = round((request.length or SECONDS) * rate)
        if length < 1:
            raise UsageError(f"--length {request.length}: not one sample, of {rate} in a second")
        given, features, label = None, None, request.label
        if request.given or config.features:
            given, speaker = _given(run, request.given or "test")
            label = speaker if label is None else label
        if config.features:
            assert given is not None
            given = given[:length]
            length = len(given)
            features = sound.features(given, config.levels, rate, config.hop, config.features)
            features, given = numpy.broadcast_to(features, (n, *features.shape)), None
        labels = classes_in_turn(config.classes, n, label)
        codes = run.model().sample(
            n,
            backend.default_rng(request.seed),
            length,
            given=None if given is None else backend.asarray(given),
            context=_conditions(labels, features),
            temperature=request.temperature,
        )
        codes = backend.to_numpy(codes)
        if given is not None:
            last_second = numpy.broadcast_to(given[-rate:], (n, len(given[-rate:])))
            codes = numpy.concatenate([last_second, codes], axis=1)
        drawn = wav.mu_law_decode(codes, config.levels)
        pause = numpy.zeros((n, rate // 4), drawn.dtype)
        samples = numpy.concatenate([drawn, pause], axis=1).ravel()[: -(rate // 4)]
        with replacing(path) as temporary:
            wav.write(temporary, wav.Recording(rate, samples))
        _picture(path.with_suffix(".png"), samples, rate)


SOUND = Sound()


class _Pieces:
    """One part of the data, from which pieces are cut, with what the model is given beside them."""

    def __init__(self, config: Any, data: SoundData, part: str) -> None:
        self.config, self.recordings = config, data.part(part)
        self.labels = data.labels[part] if config.classes and data.labels else None
        self.features = (
            [
                sound.features(codes, config.levels, data.rate, config.hop, config.features)
                for codes in self.recordings
            ]
            if config.features
            else None
        )

    def in_frames(self, length: int, most: int) -> int:
        """That length, or as many whole frames as it holds: pieces begin where frames do.

        At least one frame, but not above ``most``.
        """
        hop = self.config.hop
        return min(max(length // hop, 1) * hop, most) if self.features else length

    def batch(self, places: Sequence[tuple[int, int]], length: int) -> tuple[Any, Any]:
        """The codes (N, length) from each (recording, start), and their conditions."""
        codes = numpy.stack([self.recordings[i][start : start + length] for i, start in places])
        labels = None if self.labels is None else numpy.array([self.labels[i] for i, _ in places])
        features, hop = None, self.config.hop
        if self.features:
            count = -(-length // hop)
            features = numpy.stack(
                [self.features[i][start // hop :][:count] for i, start in places]
            )
        return backend.asarray(codes), _conditions(labels, features)


class Windows:
    """Windows of the recordings, each at a random place."""

    def __init__(self, pieces: _Pieces, batch_size: int) -> None:
        self.pieces, self.batch_size = pieces, batch_size
        longest = max(len(codes) for codes in pieces.recordings)
        self.length = pieces.in_frames(min(pieces.config.window, longest), longest)
        self.step = pieces.config.hop if pieces.features else 1
        self.places = [  # of each recording, how many windows begin in it
            max(0, (len(codes) - self.length) // self.step + 1) for codes in pieces.recordings
        ]
        total = sum(len(codes) for codes in pieces.recordings)
        self.batches = math.ceil(total / (self.length * batch_size))

    def after(self, step: int, rng: Callable[[int], Any]) -> Iterator[tuple[Any, int]]:
        ends = numpy.cumsum(self.places)
        while True:
            drawn = backend.to_numpy(rng(step).random(self.batch_size))
            numbers = (drawn * ends[-1]).astype(int)  # of windows, over all recordings
            rows = numpy.searchsorted(ends, numbers, side="right")
            starts = (numbers - (ends - self.places)[rows]) * self.step
            places = list(zip(rows.tolist(), starts.tolist(), strict=True))
            yield self.pieces.batch(places, self.length), self.batch_size * self.length
            step += 1

    def keep(self, metrics: Mapping[str, Any]) -> None:
        pass  # no batch depends on the one before

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, arrays: Mapping[str, Any]) -> None:
        pass


def _conditions(labels: Any, features: Any) -> Conditions | None:
    if labels is None and features is None:
        return None
    return Conditions(*(None if x is None else backend.asarray(x) for x in (labels, features)))


def _given(run: Run, given: str) -> tuple[numpy.ndarray, int | None]:
    """The first recording of a part of the run's data, or the test part's of other data.

    With the speaker, if the model knows who it is.
    """
    if given in PARTS:
        data = run.data()
        known = run.config.classes and data.labels
        return data.part(given)[0], data.labels[given][0] if known else None
    data = SOUND.load(given, run.config.levels)
    rate = run.description["medium"]["rate"]
    if data.rate != rate:
        raise RunError(f"--given {given}: of {data.rate} Hz; the model speaks at {rate}")
    return data.test[0], None


def _picture(path: Path, samples: numpy.ndarray, rate: int) -> None:
    """The waveform, and below it the spectrogram."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    wave, spectrum = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    wave.plot(numpy.arange(len(samples)) / rate, samples, linewidth=0.5)
    wave.set_ylim(-1, 1)
    wave.set_ylabel("amplitude")
    size = min(256, len(samples))
    with numpy.errstate(divide="ignore"):  # silence has −∞ decibels
        spectrum.specgram(samples, NFFT=size, Fs=rate, noverlap=size * 3 // 4, vmin=-120)
    spectrum.set_ylabel("Hz")
    spectrum.set_xlabel("seconds")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)

"""Every data set there is, for the command ``scratchgen data``."""

from __future__ import annotations

from dataclasses import dataclass

from scratchgen.data import mnist
from scratchgen.data.toys import TOYS


@dataclass(frozen=True)
class Entry:
    """What the catalogue says about a data set."""

    name: str
    what: str
    shape: str
    """Of one example, and its levels."""
    get: str
    """What to do to have it, or how to name it."""
    source: str = "yours"
    licence: str = "yours"
    present: bool = True
    """Whether it can be loaded now."""


def entries() -> list[Entry]:
    """All of them: what comes with the package or can be fetched, one's own, what is computed."""
    named = [_digits(), _mnist(), _fashion_mnist(), _python(), _speech()]
    return [*named, *_own_files(), *_toys()]


def _digits() -> Entry:
    return Entry(
        name="digits",
        what="1,797 handwritten digits in 10 classes",
        shape="8 x 8 x 1, 17 levels",
        source="Alpaydin and Kaynak (1998), UCI Machine Learning Repository, doi:10.24432/C50P49",
        licence="CC BY 4.0",
        get="comes with the package",
    )


def _mnist() -> Entry:
    return Entry(
        name="mnist",
        what="70,000 handwritten digits in 10 classes",
        shape="28 x 28 x 1, 256 levels",
        source="LeCun, Cortes and Burges (1998), from NIST's databases 1 and 3",
        licence="CC BY-SA 3.0, as Keras and TensorFlow state",
        get=_idx_help("mnist"),
        present=mnist.find("mnist") is not None,
    )


def _fashion_mnist() -> Entry:
    return Entry(
        name="fashion-mnist",
        what="70,000 pictures of clothes in 10 classes",
        shape="28 x 28 x 1, 256 levels",
        source="Xiao, Rasul and Vollgraf (2017), github.com/zalandoresearch/fashion-mnist",
        licence="MIT",
        get=_idx_help("fashion-mnist"),
        present=mnist.find("fashion-mnist") is not None,
    )


def _idx_help(name: str) -> str:
    found = mnist.find(name)
    if found is not None:
        return f"is in {found}"
    return f"{mnist.how_to_get(name)}, or put its four IDX files in {mnist.folders(name)[0]}"


def _own_files() -> list[Entry]:
    return [
        Entry(
            name="FOLDER",
            what="the four IDX files of a data set like MNIST, gzipped or not",
            shape="H x W x 1, 256 levels",
            get="--data FOLDER",
        ),
        Entry(
            name="FOLDER",
            what="PNG or JPEG files, all of one size, grey or RGB",
            shape="H x W x 1 or 3, 256 levels",
            get="--data FOLDER",
        ),
        Entry(
            name="FILE.npz",
            what="integers: 'images', if you like 'labels'; or 'train', 'valid' and 'test'",
            shape="(N, D), (N, H, W) or (N, H, W, C), as many levels as the largest value + 1",
            get="numpy.savez('FILE.npz', images=array), then --data FILE.npz",
        ),
        Entry(
            name="FILE.npz",
            what="real numbers: 'points', if you like 'labels'; or 'train', 'valid' and 'test'",
            shape="(N, D)",
            get="numpy.savez('FILE.npz', points=array), then --data FILE.npz",
        ),
        Entry(
            name="FILE.txt",
            what="any text in UTF-8, for the models of text",
            shape="characters",
            get="--data FILE",
        ),
        Entry(
            name="FILE.wav",
            what="a recording, a folder of them, or a folder of those of each speaker, for wavenet",
            shape="samples, 256 mu-law codes; channels are averaged",
            get="--data FILE.wav",
        ),
    ]


def _toys() -> list[Entry]:
    return [
        Entry(
            name=name,
            what=f"density in the plane of entropy {toy.entropy:.4f} nats",
            shape="2 real numbers",
            source="computed",
            licence="none needed",
            get=f"--data {name}, for the models of points",
        )
        for name, toy in TOYS.items()
    ]


def _python() -> Entry:
    return Entry(
        name="python",
        what="the source of Python's standard library: its top-level modules",
        shape="characters",
        source="the Python that runs this",
        licence="PSF License",
        get="is there",
    )


def _speech() -> Entry:
    return Entry(
        name="speech",
        what="25 seconds of a reading of Jane Austen",
        shape="samples, 8,000 per second, 256 mu-law codes",
        source="LibriVox, as Debian's pocketsphinx-testdata distributes it",
        licence="public domain",
        get="comes with the package",
    )

"""MNIST and Fashion-MNIST, from IDX files in a folder; and how the files get there.

The folder is ``$SCRATCHGEN_DATA/NAME`` if that environment variable is set, and otherwise
``~/.cache/scratchgen/NAME``. Fashion-MNIST is also found where Debian's package
``dataset-fashion-mnist`` puts it.

Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits" (1998);
H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST" (2017), arXiv:1708.07747.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import numpy

from scratchgen.data import idx
from scratchgen.data.images import ImageData
from scratchgen.errors import RunError, unknown

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
LEVELS = 256


@dataclass(frozen=True)
class Source:
    """Where the four files of a data set can be had, compressed by gzip."""

    urls: tuple[str, ...]
    """Tried in turn."""
    sha256: Mapping[str, str]
    """Of each compressed file. The same sums stand in torchvision's table of data sets, where they
    belong to the files whose MD5 sums the authors of Fashion-MNIST publish."""
    system: tuple[Path, ...] = ()
    """Folders in which a package of the operating system puts the files."""
    package: str = ""
    """The command that installs this package."""


SOURCES = {
    "mnist": Source(
        urls=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        sha256={
            FILES[0]: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            FILES[1]: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            FILES[2]: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            FILES[3]: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        },
    ),
    "fashion-mnist": Source(
        urls=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        sha256={
            FILES[0]: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            FILES[1]: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            FILES[2]: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            FILES[3]: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        },
        system=(Path("/usr/share/datasets/fashion-mnist"),),
        package="apt install dataset-fashion-mnist",
    ),
}


def load(name: str) -> ImageData:
    """ "mnist" or "fashion-mnist": 28 × 28 × 1, 256 levels, split as :func:`from_folder` does.

    Raises RunError, with how to get them, if the files are not there.
    """
    folder = find(name)
    if folder is None:
        searched = " or ".join(str(f) for f in folders(name))
        raise RunError(f"{name}: no IDX files in {searched}; get them by {how_to_get(name)}")
    return from_folder(folder, name)


def find(name: str) -> Path | None:
    """The first of the :func:`folders` that holds any of the files; None if none does."""
    return next((folder for folder in folders(name) if has_idx_files(folder)), None)


def folders(name: str) -> list[Path]:
    """Where the files of that data set are looked for, the user's own folder first."""
    base = os.environ.get("SCRATCHGEN_DATA")
    own = Path(base).expanduser() if base else Path.home() / ".cache" / "scratchgen"
    return [own / name, *_source(name).system]


def how_to_get(name: str) -> str:
    """The command that gets the files; several if there is a choice."""
    package = _source(name).package
    return f"scratchgen data --download {name}" + (f", or {package}" if package else "")


def has_idx_files(folder: Path) -> bool:
    """Whether any of the four files is there, compressed or not."""
    return any((folder / f"{file}{end}").exists() for file in FILES for end in ("", ".gz"))


def from_folder(folder: Path, name: str | None = None) -> ImageData:
    """The data in a folder of the four IDX files, each compressed or not, in 256 levels.

    The files have a test set of their own; the last sixth of the training set, rounded down, is
    the validation part (of MNIST the last 10,000 of 60,000). Raises RunError, one line, for a file
    that is missing, damaged, or does not fit the others.
    """
    name = name or str(folder)
    images, labels = _read_pair(folder, "train")
    test, test_labels = _read_pair(folder, "t10k")
    if images.shape[1:] != test.shape[1:]:
        raise RunError(
            f"{folder}: the training images are {_size(images)} pixels, those of the test set "
            f"{_size(test)}; all must be of one size"
        )
    if len(images) < 6 or len(test) < 1:
        raise RunError(
            f"{folder}: {len(images)} training and {len(test)} test images; at least 6 and 1 are "
            "needed to train, validate and test on"
        )
    cut = len(images) - len(images) // 6
    named = {"train": labels[:cut], "validation": labels[cut:], "test": test_labels}
    return ImageData(name, LEVELS, images[:cut], images[cut:], test, named)


def download(name: str, folder: Path | None = None) -> Path:
    """Fetch the four files, check each by its SHA-256, and keep them; the folder they are in.

    By default that is the user's own folder, the first of :func:`folders`. A file that is there
    already and has the right sum is not fetched again; one that has not is replaced.
    Raises UsageError for an unknown name, RunError if a file cannot be had or is not the right one.
    """
    source = _source(name)
    folder = folder or folders(name)[0]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            path = folder / f"{file}.gz"
            if not path.exists() or _sha256(path.read_bytes()) != source.sha256[file]:
                content = _fetch([url + path.name for url in source.urls], source.sha256[file])
                unfinished = path.with_suffix(".part")
                unfinished.write_bytes(content)
                unfinished.replace(path)  # at once: a file is there as a whole or not at all
    except OSError as error:
        raise RunError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return folder


def _fetch(urls: list[str], sha256: str) -> bytes:
    """The content of the first of the addresses that gives the right one."""
    failures = []
    for url in urls:
        try:
            with urlopen(url, timeout=60) as response:
                content: bytes = response.read()
        except (OSError, HTTPException) as error:
            failures.append(f"{url}: {error}")
            continue
        found = _sha256(content)
        if found == sha256:
            return content
        failures.append(f"{url}: {len(content)} bytes of SHA-256 {found}, not {sha256}")
    raise RunError("download failed: " + "; ".join(failures))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _source(name: str) -> Source:
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    return SOURCES[name]


def _read_pair(folder: Path, prefix: str) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Images (N, H, W, 1) and labels (N,) of the files whose names begin so."""
    images_path = _path(folder, f"{prefix}-images-idx3-ubyte")
    labels_path = _path(folder, f"{prefix}-labels-idx1-ubyte")
    images, labels = idx.read(images_path), idx.read(labels_path)
    for path, array, dimensions in ((images_path, images, 3), (labels_path, labels, 1)):
        if array.ndim != dimensions or array.dtype != numpy.uint8:
            raise RunError(
                f"{path}: holds {array.dtype} of shape {array.shape}, where uint8 of {dimensions} "
                "dimensions were expected; are two files exchanged?"
            )
    if len(images) != len(labels):
        raise RunError(
            f"{labels_path}: {len(labels)} labels for the {len(images)} images of "
            f"{images_path.name}; the files belong to different sets"
        )
    return images[..., None], labels


def _path(folder: Path, file: str) -> Path:
    """The file or its compressed form, whichever is there."""
    for path in (folder / file, folder / f"{file}.gz"):
        if path.exists():
            return path
    raise RunError(
        f"{folder}: has neither {file} nor {file}.gz; all four IDX files are needed: "
        + ", ".join(FILES)
    )


def _size(images: numpy.ndarray) -> str:
    return f"{images.shape[1]} x {images.shape[2]}"

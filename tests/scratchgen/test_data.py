"""Data: what is packaged, files of every kind good and bad, and the figures to beat."""

import gzip
import hashlib
import math
import struct
from pathlib import Path

import numpy
import pytest
from PIL import Image
from scipy.io import wavfile

from autograd import backend
from scratchgen import metrics
from scratchgen.data import (
    ImageData,
    catalogue,
    digits,
    download,
    idx,
    load,
    mnist,
    text,
    toys,
    wav,
)
from scratchgen.data.images import PARTS, requantise, split_by_five
from scratchgen.data.loading import NAMES
from scratchgen.errors import RunError, UsageError


@pytest.fixture(scope="module")
def data():
    return digits.load()


def test_the_digits_are_split_as_stated(data):
    assert [len(x) for x in (data.train, data.validation, data.test)] == [1079, 359, 359]
    assert data.shape == (8, 8, 1) and data.levels == 17
    every = numpy.concatenate([data.train, data.validation, data.test])
    assert every.dtype == "uint8" and (every.min(), every.max()) == (0, 16)
    # the sums of images 0, 3 and 4, the first of each part
    assert [int(x[0].sum()) for x in (data.train, data.validation, data.test)] == [294, 267, 258]


def test_the_figures_to_compare_with(data):
    assert metrics.uniform_nats(data.shape, data.levels) == pytest.approx(181.33, abs=0.005)
    nats = metrics.independent_nats(data.train, data.test, data.levels)
    assert nats == pytest.approx(106.94, abs=0.005)


def test_independent_pixels_against_counting_by_hand():
    train = numpy.array([[0, 1], [0, 2], [1, 2]])
    test = numpy.array([[0, 0], [1, 2]])
    first = -math.log(3 / 6) - math.log(1 / 6)
    second = -math.log(2 / 6) - math.log(3 / 6)
    found = metrics.independent_nats(train, test, levels=3)
    assert found == pytest.approx((first + second) / 2)


def test_bits_per_dimension():
    assert metrics.bits_per_dimension(math.log(2) * 10, 10) == pytest.approx(1)
    uniform = metrics.uniform_nats((8, 8, 1), 256)
    assert metrics.bits_per_dimension(uniform, 64) == pytest.approx(8)


# What a data set is


def test_parts_by_name(data):
    assert data.part("validation") is data.validation
    with pytest.raises(UsageError, match="did you mean 'train'"):
        data.part("trian")


def test_the_digits_have_labels_in_the_same_split(data):
    assert {name: len(x) for name, x in data.labels.items()} == {
        "train": 1079,
        "validation": 359,
        "test": 359,
    }
    # the data set begins with 0, 1, 2, 3, 4, 5, ...
    assert [int(data.labels[part][0]) for part in PARTS] == [0, 3, 4]
    assert ImageData("x", 2, data.train, data.test, data.test).labels is None


def test_fewer_levels_are_the_floor_of_the_share(data):
    binary = load("digits", 2)
    assert binary.levels == 2
    numpy.testing.assert_array_equal(binary.labels["test"], data.labels["test"])
    numpy.testing.assert_array_equal(binary.train, data.train > 8)
    ramp = numpy.arange(256, dtype="uint8").reshape(1, 16, 16, 1).repeat(5, axis=0)
    few = requantise(split_by_five("ramp", 256, ramp), 3)
    numpy.testing.assert_array_equal(few.test.ravel(), numpy.arange(256) * 3 // 256)
    assert load("digits", 17).train.max() == 16


@pytest.mark.parametrize(
    "name, levels, message",
    [
        ("digit", None, "did you mean 'digits'"),
        ("fashionmnist", None, "did you mean 'fashion-mnist'"),
        ("", None, "unknown data set ''"),
        ("digits", 18, "2 to 17 levels"),
        ("digits", 1, "levels=1: at least 2"),
    ],
)
def test_what_does_not_exist_is_a_usage_error(name, levels, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _complains(UsageError, message, lambda: load(name, levels))


def test_a_path_that_is_not_there(tmp_path):
    _complains(RunError, "no such file or folder", lambda: load(str(tmp_path / "x.npz")))
    (tmp_path / "x.txt").write_text("x")
    _complains(UsageError, "expected an .npz", lambda: load(str(tmp_path / "x.txt")))


# IDX files


def idx_bytes(array, code=8):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(idx.TYPES[code]).tobytes()


def write_mnist(folder, rng, train=17, test=4, packed=False, size=(3, 2)):
    """A tiny data set of the form of MNIST; its images, training and test."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [rng.integers(0, 256, (n, *size)) for n in (train, test)]
    for prefix, x in zip(("train", "t10k"), images, strict=True):
        for name, array in (("images-idx3", x), ("labels-idx1", numpy.arange(len(x)) % 10)):
            content = idx_bytes(array)
            path = folder / f"{prefix}-{name}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    return images


@pytest.mark.parametrize("code", idx.TYPES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (0, 4), (2, 1, 3)])
def test_idx_holds_every_type_and_shape(tmp_path, rng, code, shape):
    array = rng.integers(0, 100, shape)
    (tmp_path / "x").write_bytes(idx_bytes(array, code))
    found = idx.read(tmp_path / "x")
    numpy.testing.assert_array_equal(found, array)
    assert found.dtype == numpy.dtype(idx.TYPES[code]).newbyteorder("=")


GOOD = idx_bytes(numpy.zeros((3, 2, 2)))
PACKED = gzip.compress(GOOD, mtime=0)  # without the time of day: it is part of a test's name


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", r"not an IDX file: it begins with the bytes \(none\)"),
        (b"<html>", "begins with the bytes 3c 68 74 6d, where IDX images begin with 00 00 08 03"),
        (b"\0\0\x07\x03" + GOOD[4:], "not an IDX file"),
        (b"\0\0\x08\0" + GOOD[4:5], "not an IDX file"),
        (GOOD[:9], "a header of 3 dimensions takes 16 bytes, the file has 9"),
        (GOOD[:-5], r"truncated: its header states \(3, 2, 2\) .* 12 bytes in all, and 7 follow"),
        (GOOD + b"x", "too long: .* 12 bytes in all, and 13 follow"),
        (
            gzip.compress(GOOD, mtime=0)[:-9],
            "damaged or truncated: its .* bytes cannot be decompressed",
        ),
        (PACKED[:12] + b"~~~~~~~~~~~~~~~~", "damaged or truncated"),
    ],
)
def test_a_bad_idx_file_is_one_line_that_names_it(tmp_path, content, message):
    path = tmp_path / "some-file"
    path.write_bytes(content)
    _complains(RunError, f"some-file: .*{message}|some-file: {message}", lambda: idx.read(path))


@pytest.mark.parametrize("packed", [False, True])
def test_a_folder_of_idx_files(tmp_path, rng, packed):
    train, test = write_mnist(tmp_path, rng, packed=packed)
    data = load(str(tmp_path))
    assert data.levels == 256 and data.shape == (3, 2, 1) and data.name == str(tmp_path.resolve())
    numpy.testing.assert_array_equal(data.train[..., 0], train[:15])
    numpy.testing.assert_array_equal(data.validation[..., 0], train[15:])  # a sixth of 17
    numpy.testing.assert_array_equal(data.test[..., 0], test)
    assert {k: v.tolist() for k, v in data.labels.items()} == {
        "train": [*range(10), *range(5)],
        "validation": [5, 6],
        "test": [0, 1, 2, 3],
    }
    numpy.testing.assert_array_equal(load(str(tmp_path), 2).test[..., 0], test >= 128)


def test_idx_files_that_do_not_fit(tmp_path, rng):
    write_mnist(tmp_path, rng)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx_bytes(numpy.zeros(12)))
    _complains(RunError, "12 labels for the 17 images", lambda: load(str(tmp_path)))
    labels.write_bytes(idx_bytes(numpy.zeros((17, 3, 2))))
    _complains(RunError, "are two files exchanged", lambda: load(str(tmp_path)))
    labels.unlink()
    _complains(RunError, "neither train-labels-idx1-ubyte nor", lambda: load(str(tmp_path)))
    write_mnist(tmp_path, rng, train=5)
    _complains(RunError, "5 training and 4 test images; at least 6", lambda: load(str(tmp_path)))
    write_mnist(tmp_path, rng)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(numpy.zeros((4, 2, 2))))
    _complains(RunError, "3 x 2 pixels, those of the test set 2 x 2", lambda: load(str(tmp_path)))


def test_mnist_is_found_in_the_folder_of_the_environment(tmp_path, rng, monkeypatch):
    monkeypatch.setenv("SCRATCHGEN_DATA", str(tmp_path))
    _complains(RunError, f"no IDX files in {tmp_path}/mnist; get them by", lambda: load("mnist"))
    _, test = write_mnist(tmp_path / "mnist", rng)
    data = load("mnist")
    assert data.name == "mnist"
    numpy.testing.assert_array_equal(data.test[..., 0], test)


def test_without_the_environment_data_are_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("SCRATCHGEN_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert mnist.folders("fashion-mnist") == [
        tmp_path / ".cache" / "scratchgen" / "fashion-mnist",
        Path("/usr/share/datasets/fashion-mnist"),
    ]


def _site(tmp_path, rng, monkeypatch):
    """A source of data whose second address works, in place of MNIST's."""
    site = tmp_path / "site"
    write_mnist(site, rng, packed=True)
    sums = {f: hashlib.sha256((site / f"{f}.gz").read_bytes()).hexdigest() for f in mnist.FILES}
    urls = (f"{(tmp_path / 'nowhere').as_uri()}/", f"{site.as_uri()}/")
    monkeypatch.setitem(mnist.SOURCES, "mnist", mnist.Source(urls, sums))
    monkeypatch.setenv("SCRATCHGEN_DATA", str(tmp_path / "own"))
    return site


def test_download_checks_what_it_fetches(tmp_path, rng, monkeypatch):
    site = _site(tmp_path, rng, monkeypatch)
    folder = download("mnist")
    assert folder == tmp_path / "own" / "mnist" and len(load("mnist").train) == 15
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{f}.gz" for f in mnist.FILES)

    damaged = folder / f"{mnist.FILES[1]}.gz"
    damaged.write_bytes(b"x")
    download("mnist")  # again: only this one is replaced
    assert damaged.read_bytes() == (site / damaged.name).read_bytes()

    damaged.unlink()
    (site / damaged.name).write_bytes(b"something else")
    _complains(RunError, "14 bytes of SHA-256 [0-9a-f]{64}, not", lambda: download("mnist"))
    assert not damaged.exists()


def test_download_into_a_folder_that_cannot_be(tmp_path, rng, monkeypatch):
    _site(tmp_path, rng, monkeypatch)
    (tmp_path / "file").write_text("")
    _complains(RunError, "cannot be written", lambda: download("mnist", tmp_path / "file" / "x"))
    _complains(UsageError, "did you mean 'mnist'", lambda: download("minst"))


# .npz files


def _saved(path, **arrays):
    numpy.savez(path, **arrays)
    return str(path)


def test_an_npz_archive(tmp_path, rng):
    images, labels = rng.integers(0, 5, (11, 4, 3)), numpy.arange(11)
    images[0, 0, 0] = 4
    path = _saved(tmp_path / "x.npz", images=images, labels=labels)
    data = load(path)
    assert data.levels == 5 and data.shape == (4, 3, 1) and data.train.dtype == "uint8"
    numpy.testing.assert_array_equal(data.test[..., 0], images[4::5])
    assert {k: v.tolist() for k, v in data.labels.items()} == {
        "train": [0, 1, 2, 5, 6, 7, 10],
        "validation": [3, 8],
        "test": [4, 9],
    }
    assert load(path, 9).levels == 9 and load(path, 9).train.max() <= 4
    _complains(UsageError, "values up to 4; at least 5", lambda: load(path, 3))


def test_the_only_array_of_an_npz_archive_with_colours(tmp_path, rng):
    images = rng.integers(0, 256, (6, 4, 3, 3))
    images[0] = 255
    path = _saved(tmp_path / "x.npz", whatever=images)
    data = load(path)
    assert data.shape == (4, 3, 3) and data.levels == 256 and data.labels is None
    numpy.testing.assert_array_equal(load(path, 16).test, images[4:5] // 16)


def test_truth_values_are_two_levels(tmp_path, rng):
    images = rng.random((5, 2, 2)) < 0.5
    data = load(_saved(tmp_path / "x.npz", images=images))
    assert data.levels == 2
    numpy.testing.assert_array_equal(data.test[..., 0], images[4:])


def test_vectors_in_an_npz_archive_are_images_of_one_row(tmp_path, rng):
    vectors = rng.integers(0, 2, (10, 7))
    data = load(_saved(tmp_path / "x.npz", images=vectors))
    assert data.shape == (1, 7, 1) and data.levels == 2
    numpy.testing.assert_array_equal(data.test[:, 0, :, 0], vectors[4::5])


@pytest.mark.parametrize("valid", ["valid", "validation"])
def test_an_npz_archive_with_a_split_of_its_own(tmp_path, rng, valid):
    arrays = {name: rng.integers(0, 2, (n, 7)) for name, n in (("train", 3), (valid, 1))}
    arrays["test"] = numpy.full((2, 7), 3)
    path = _saved(tmp_path / "x.npz", **arrays, inputsize=numpy.array(7))
    data = load(path)
    assert data.levels == 4 and data.shape == (1, 7, 1) and data.labels is None
    for part, name in zip(PARTS, ("train", valid, "test"), strict=True):
        assert data.part(part).dtype == "uint8"
        numpy.testing.assert_array_equal(data.part(part)[:, 0, :, 0], arrays[name])
    _complains(UsageError, "values up to 3; at least 4", lambda: load(path, 2))


def test_whole_numbers_of_a_type_with_fractions_are_integers(tmp_path):
    arrays = {name: numpy.eye(4, dtype="float32") for name in ("train", "valid", "test")}
    data = load(_saved(tmp_path / "x.npz", **arrays), 2)
    assert data.levels == 2 and data.train.dtype == "uint8"
    numpy.testing.assert_array_equal(data.validation[:, 0, :, 0], numpy.eye(4))


ONES = numpy.ones((6, 2, 2), "uint8")
PARTED = {"train": ONES, "valid": ONES, "test": ONES}


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"images": ONES[0, 0]}, r"'images' has the shape \(2,\); expected \(N, height"),
        ({"images": ONES[:0]}, r"has the shape \(0, 2, 2\)"),
        ({"images": ONES / 2}, "is of float64; expected integers"),
        ({"images": ONES * [1.0, math.nan]}, r"12 values that are NaN .* at \(0, 0, 1\)"),
        ({"images": -ONES.astype(int)}, "has the value -1; expected integers from 0 up"),
        ({"images": ONES.astype(int) << 20}, "has the value 1048576"),
        ({"images": ONES.astype(str)}, "is of <U"),
        ({"images": ONES.astype(object)}, "cannot be read as an .npz archive"),
        ({"images": ONES[:4]}, "4 images; at least 5"),
        ({"a": ONES, "b": ONES}, "no array 'images', nor 'train', .*; it has a, b"),
        ({}, "no array 'images', nor 'train', 'valid' and 'test'; it has none"),
        ({"images": ONES, "labels": numpy.arange(5)}, r"expected integers of shape \(6,\)"),
        ({"images": ONES, "labels": numpy.ones(6)}, "'labels' is float64"),
        ({"train": ONES, "test": ONES}, "no array 'valid', but train, test"),
        ({"validation": ONES, "test": ONES}, "no array 'train', but validation, test"),
        ({"train": ONES, "valid": ONES, "labels": ONES}, "no array 'test', but train, valid, l"),
        (PARTED | {"validation": ONES}, "both 'valid' and 'validation'; leave one"),
        (PARTED | {"valid": ONES[:, :1]}, r"'valid' has the shape \(6, 1, 2\), 'train' \(6, 2, 2"),
        (PARTED | {"test": ONES[:, 0]}, r"'test' has the shape \(6, 2\), 'train' \(6, 2, 2\); t"),
        (PARTED | {"test": ONES[:0]}, r"'test' has the shape \(0, 2, 2\); expected"),
        (PARTED | {"test": ONES / 2}, "'test' is of float64; expected integers"),
    ],
)
def test_a_bad_npz_archive_is_one_line(tmp_path, arrays, message):
    path = _saved(tmp_path / "x.npz", **arrays)
    _complains(RunError, "x.npz: .*" + message, lambda: load(path))


def test_files_that_are_no_npz_archive(tmp_path):
    path = Path(_saved(tmp_path / "x.npz", images=ONES))
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:100], whole[:-30]):
        path.write_bytes(content)
        _complains(RunError, "x.npz: cannot be read as an .npz", lambda: load(str(path)))
    with path.open("wb") as file:
        numpy.save(file, ONES)
    _complains(RunError, "x.npz: one array", lambda: load(str(path)))


# Folders of images


def test_a_folder_of_images(tmp_path, rng):
    grey = rng.integers(0, 256, (6, 4, 3), dtype="uint8")
    for i, image in enumerate(grey):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    data = load(str(tmp_path))
    assert data.shape == (4, 3, 1) and data.levels == 256
    numpy.testing.assert_array_equal(data.train[..., 0], grey[[0, 1, 2, 5]])
    numpy.testing.assert_array_equal(load(str(tmp_path), 4).test[..., 0], grey[4:5] // 64)

    colour = rng.integers(0, 256, (4, 3, 3), dtype="uint8")
    Image.fromarray(colour).save(tmp_path / "4.png")
    data = load(str(tmp_path))
    assert data.shape == (4, 3, 3)
    numpy.testing.assert_array_equal(data.test[0], colour)
    numpy.testing.assert_array_equal(data.train[0], grey[0][..., None].repeat(3, axis=-1))


@pytest.mark.parametrize("mode, channels", [("1", 1), ("LA", 1), ("P", 3), ("RGBA", 3)])
def test_other_kinds_of_pixels_become_grey_or_colour(tmp_path, mode, channels):
    for i in range(5):
        Image.new("RGB", (3, 4), (255, 255, 255)).convert(mode).save(tmp_path / f"{i}.png")
    data = load(str(tmp_path))
    assert data.shape == (4, 3, channels) and (data.train == 255).all()


def test_jpeg_files_are_read(tmp_path):
    for i in range(5):
        Image.new("L", (8, 8), 100).save(tmp_path / f"{i}.JPG")
    assert abs(load(str(tmp_path)).train.astype(int) - 100).max() <= 1


def test_bad_folders_of_images_are_one_line(tmp_path):
    _complains(RunError, "no images in this folder", lambda: load(str(tmp_path)))
    for i in range(5):
        Image.new("L", (3, 4)).save(tmp_path / f"{i}.png")
    bad = tmp_path / "5.png"
    Image.new("L", (4, 4)).save(bad)
    _complains(RunError, r"5.png: 4 x 4 .* but 0.png has 4 x 3", lambda: load(str(tmp_path)))
    Image.new("I;16", (3, 4)).save(bad)
    _complains(RunError, "5.png: pixels of the kind 'I;16'", lambda: load(str(tmp_path)))
    for content in (b"", b"hello", (tmp_path / "0.png").read_bytes()[:40]):
        bad.write_bytes(content)
        _complains(RunError, "5.png: cannot be read as an image", lambda: load(str(tmp_path)))


# Sound


def test_mu_law_against_its_formula_and_back():
    # codes of the ends and the middle; f(0.5) = ln(128.5) / ln(256) = 0.875704
    codes = wav.mu_law_encode(numpy.array([-1, 0, 1, 0.5, -0.5, 7]))
    assert codes.tolist() == [0, 128, 255, 239, 16, 255] and codes.dtype == "uint8"
    every = numpy.arange(256)
    numpy.testing.assert_array_equal(wav.mu_law_encode(wav.mu_law_decode(every)), every)
    numpy.testing.assert_allclose(wav.mu_law_decode(numpy.array([0, 255])), [-1, 1])
    # y = 2 * 191 / 255 - 1 = 127 / 255; (2 ** (8 y) - 1) / 255 = 14.82698 / 255 = 0.0581450
    assert wav.mu_law_decode(numpy.array([191])).item() == pytest.approx(0.0581450, abs=1e-7)


@pytest.mark.parametrize(
    "values, expected",
    [
        (numpy.array([0, 128, 255], "uint8"), [-1, 0, 127 / 128]),
        (numpy.array([-32768, 0, 16384], "int16"), [-1, 0, 0.5]),
        (numpy.array([-(2**31), 0, 2**30], "int32"), [-1, 0, 0.5]),
        (numpy.array([-1, 0, 0.5], "float32"), [-1, 0, 0.5]),
        (numpy.array([[-32768, 0], [16384, 0]], "int16"), [-0.5, 0.25]),
    ],
)
def test_wav_files_of_every_kind(tmp_path, values, expected):
    wavfile.write(tmp_path / "x.wav", 16000, values)
    found = wav.read(tmp_path / "x.wav")
    assert found.rate == 16000 and found.samples.dtype == "float32"
    numpy.testing.assert_allclose(found.samples, expected)


def test_what_is_written_as_wav_is_read_again(tmp_path, rng):
    samples = rng.uniform(-1, 1, 1000).astype("float32")
    wav.write(tmp_path / "x.wav", wav.Recording(8000, samples))
    found = wav.read(tmp_path / "x.wav")
    assert found.rate == 8000
    numpy.testing.assert_allclose(found.samples, samples, atol=1 / 32768)
    wav.write(tmp_path / "x.wav", wav.Recording(8000, numpy.array([2.0, -2.0])))
    numpy.testing.assert_allclose(wav.read(tmp_path / "x.wav").samples, [1, -1], atol=1e-4)


def test_bad_wav_files_are_one_line(tmp_path):
    path = tmp_path / "x.wav"
    _complains(RunError, "x.wav: cannot be read: No such file", lambda: wav.read(path))
    for content in (b"", b"hello", b"RIFF\x24\0\0\0WAVEfmt "):
        path.write_bytes(content)
        _complains(RunError, "x.wav: (damaged|holds no samples)", lambda: wav.read(path))
    wavfile.write(path, 8000, numpy.array([0, math.nan], "float32"))
    _complains(RunError, "1 of 2 samples are NaN", lambda: wav.read(path))
    wavfile.write(path, 8000, numpy.zeros(0, "int16"))
    _complains(RunError, "x.wav: (damaged|holds no samples)", lambda: wav.read(path))


# Text


def test_text_is_split_and_comes_back(tmp_path):
    path = tmp_path / "x.txt"
    pieces = [("ab", "ab", "ab", "ba", "aa")[i % 5] for i in range(100)]
    path.write_text("".join(pieces))
    data = text.load(path)
    assert data.vocabulary == "ab" + text.UNKNOWN and data.train.dtype == "int32"
    assert data.decode(data.part("train")) == "ab" * 60
    assert data.decode(data.validation) == "ba" * 20 and data.decode(data.test) == "aa" * 20
    assert data.decode(data.encode("abba?")) == "abba" + text.UNKNOWN
    with pytest.raises(UsageError, match="did you mean 'test'"):
        data.part("tets")


def test_rare_characters_are_unknown(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("aé" * 9 + "a" * 200, encoding="utf-8")
    assert text.load(path).vocabulary == "a" + text.UNKNOWN
    assert text.load(path, minimum=1).vocabulary == "aé" + text.UNKNOWN
    narrow = text.TextData("x", "ab", *[numpy.zeros(1, "int32")] * 3)
    _complains(UsageError, "'c' is not in the vocabulary: 'ab'", lambda: narrow.encode("abc"))


def test_bad_texts_are_one_line(tmp_path):
    path = tmp_path / "x.txt"
    _complains(RunError, "x.txt: cannot be read", lambda: text.load(path))
    path.write_text("short")
    _complains(RunError, "5 characters; at least 100", lambda: text.load(path))
    path.write_bytes(b"a" * 100 + b"\xff")
    _complains(RunError, "not UTF-8 at byte 100", lambda: text.load(path))


def test_the_default_text_is_pythons_library():
    data = text.load()
    assert len(data.train) > 100_000 and len(data.test) > 10_000
    assert "def __init__(self" in data.decode(data.train[:100_000])
    assert len(data.vocabulary) < 200 and max(data.test) < len(data.vocabulary)


# Densities in the plane


@pytest.fixture(params=toys.TOYS)
def toy(request):
    return toys.find(request.param)


def _log_prob(toy, points):
    pieces = [toy.log_prob(backend.asarray(piece)) for piece in numpy.array_split(points, 50)]
    return numpy.concatenate([backend.to_numpy(log_p) for log_p in pieces])


def _square(cells):
    """The centres of cells of a grid over [−5.5, 5.5]², (cells², 2), and the area of one."""
    axis = (numpy.arange(cells) + 0.5) / cells * 11 - 5.5
    return numpy.stack(numpy.meshgrid(axis, axis), axis=-1).reshape(-1, 2), (11 / cells) ** 2


def test_the_density_integrates_to_one(toy):
    points, area = _square(600)
    assert numpy.exp(_log_prob(toy, points)).sum() * area == pytest.approx(1, abs=2e-3)


def test_the_entropy_is_that_of_the_density_and_of_its_samples(toy):
    samples = toy.sample(20_000, backend.default_rng(0))
    log_p = backend.to_numpy(toy.log_prob(samples))
    assert samples.shape == (20_000, 2) and numpy.isfinite(log_p).all()
    error = 4 * log_p.std() / math.sqrt(len(log_p)) + 1e-12
    assert -log_p.mean() == pytest.approx(toy.entropy, abs=error)


def test_samples_fill_the_density_evenly(toy):
    """χ² of the counts in coarse cells against the density's integral over each."""
    samples = backend.to_numpy(toy.sample(20_000, backend.default_rng(1)))
    points, area = _square(880)
    mass = numpy.exp(_log_prob(toy, points)) * area
    edges = [numpy.linspace(-5.5, 5.5, 12)] * 2
    expected, _, _ = numpy.histogram2d(*points.T, bins=edges, weights=mass * len(samples))
    counts, _, _ = numpy.histogram2d(*samples.T, bins=edges)
    used = expected > 5
    chi_squared = ((counts - expected) ** 2 / numpy.where(used, expected, 1))[used].sum()
    assert counts.sum() == len(samples) and counts[expected == 0].sum() == 0
    assert chi_squared < used.sum() + 5 * math.sqrt(2 * used.sum())


def test_entropies_that_are_known():
    assert toys.find("checkerboard").entropy == pytest.approx(math.log(32))
    one = toys.GaussianCircle(modes=1, sigma=0.7)
    assert one.entropy == pytest.approx(math.log(math.tau * math.e * 0.49), abs=1e-10)
    far = toys.GaussianCircle(modes=4, radius=3, sigma=0.1)  # ln K more if the modes are apart
    assert far.entropy == pytest.approx(math.log(4 * math.tau * math.e * 0.01), abs=1e-9)
    finer = toys.GaussianCircle(modes=8, sigma=0.8)
    assert finer.entropy < math.log(8 * math.tau * math.e * 0.64) - 0.1


def test_the_gaussians_of_the_grid_are_where_they_should_be():
    grid = toys.GaussianGrid(side=3, spacing=2, sigma=0.1)
    centres = backend.to_numpy(grid.centres)
    expected = {(float(x), float(y)) for x in (-2, 0, 2) for y in (-2, 0, 2)}
    assert grid.classes == 9 and set(map(tuple, centres.tolist())) == expected
    assert grid.entropy == pytest.approx(math.log(9 * math.tau * math.e * 0.01), abs=1e-9)
    one = toys.GaussianGrid(side=1, sigma=0.7)
    assert one.entropy == pytest.approx(math.log(math.tau * math.e * 0.49), abs=1e-10)


@pytest.mark.parametrize("name", ["eight-gaussians", "grid"])
def test_each_point_of_a_mixture_has_the_label_of_the_gaussian_nearest_to_it(name, rng):
    toy = toys.find(name)
    centres = backend.to_numpy(toy.centres)
    assert centres.shape == (toy.classes, 2)
    labels = backend.to_numpy(toy.label(toy.centres))
    numpy.testing.assert_array_equal(labels, numpy.arange(toy.classes))
    points = rng.uniform(-4, 4, (200, 2))
    nearest = numpy.linalg.norm(points[:, None] - centres, axis=-1).argmin(1)
    numpy.testing.assert_array_equal(backend.to_numpy(toy.label(backend.asarray(points))), nearest)


def test_densities_keep_the_type_of_the_points(toy):
    points = backend.asarray(numpy.zeros((3, 2), "float32"))
    assert toy.log_prob(points).dtype == "float32" and toy.log_prob(points).shape == (3,)


def test_an_unknown_density():
    _complains(UsageError, "did you mean 'spirals'", lambda: toys.find("spiral"))


# The catalogue


def test_the_catalogue_has_everything_and_knows_what_is_there(tmp_path, rng, monkeypatch):
    monkeypatch.setenv("SCRATCHGEN_DATA", str(tmp_path))
    monkeypatch.setitem(mnist.SOURCES, "fashion-mnist", mnist.Source((), {}))
    present = {entry.name: entry.present for entry in catalogue.entries()}
    assert present["digits"] and not present["mnist"] and not present["fashion-mnist"]
    assert {*NAMES, *toys.TOYS} <= present.keys()
    write_mnist(tmp_path / "mnist", rng)
    entry = next(e for e in catalogue.entries() if e.name == "mnist")
    assert entry.present and entry.get == f"is in {tmp_path}/mnist"
    for entry in catalogue.entries():
        assert all((entry.what, entry.shape, entry.source, entry.licence, entry.get)), entry


def _complains(kind, message, call):
    """``call`` raises exactly this kind of error, in one line that matches ``message``."""
    with pytest.raises(kind, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)

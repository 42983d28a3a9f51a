"""The switch between NumPy, CuPy and the strict backend."""

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend
from autograd.backend.strict import HostDeviceError


def test_using_restores_the_backend_also_after_an_error():
    before = backend.current()
    with pytest.raises(RuntimeError), backend.using("strict"):
        assert backend.current() == "strict"
        raise RuntimeError
    assert backend.current() == before


def test_an_unknown_backend_lists_those_that_exist():
    with pytest.raises(ValueError, match="no backend 'jax'; there are numpy, cupy, strict"):
        backend.use("jax")


def test_cupy_without_cupy_or_gpu_says_what_is_missing_in_one_line():
    if "cupy" in backend.available():
        pytest.skip("this machine has CuPy and a GPU")
    remedy = r"not installed; pip install 'scratchgen\[cuda|no NVIDIA GPU.* use the backend 'numpy'"
    with pytest.raises(backend.BackendNotAvailable, match=remedy) as caught:
        backend.use("cupy")
    assert "\n" not in str(caught.value)


def test_values_travel_to_the_device_and_back():
    x = numpy.arange(6.0).reshape(2, 3)
    there = backend.asarray(x)
    numpy.testing.assert_array_equal(backend.to_numpy(there), x)
    assert backend.is_array(there) and not backend.is_array([1.0])
    assert backend.get_array_module(there) is backend.get_array_module(backend.xp.zeros(1))


def test_the_same_seed_gives_the_same_numbers():
    a, b = (backend.to_numpy(backend.default_rng(7).random(5)) for _ in range(2))
    numpy.testing.assert_array_equal(a, b)


# ----------------------------------------------------------------- what the strict backend refuses


@pytest.fixture
def strict():
    with backend.using("strict"):
        yield backend.asarray(numpy.array([1.0, 2.0]))


@pytest.mark.parametrize(
    "leak",
    [
        lambda x: x + numpy.ones(2),
        lambda x: numpy.ones(2) + x,
        lambda x: np.add(x, numpy.ones(2)),
        lambda x: numpy.exp(x),
        lambda x: numpy.asarray(x),
        lambda x: bool(x[0] > 0),
        lambda x: float(x[0]),
        lambda x: int(x[0]),
        lambda x: list(x),
        lambda x: range(x.argmax()),
        lambda x: Tensor(x) * numpy.ones(2),
        lambda x: np.concatenate([x, numpy.ones(2)]),
        lambda x: x.__setitem__(0, numpy.ones(())),
    ],
)
def test_the_strict_backend_refuses_every_leak(strict, leak):
    with pytest.raises((HostDeviceError, TypeError)):
        leak(strict)


def test_the_strict_backend_allows_what_a_device_array_allows(strict):
    assert (strict * 2 + 1).get().tolist() == [3.0, 5.0]
    assert strict.sum().item() == 3.0
    assert strict[strict > 1.5].get().tolist() == [2.0]
    strict += 1
    assert strict.get().tolist() == [2.0, 3.0]
    assert np.zeros(2).shape == (2,)

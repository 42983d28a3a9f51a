"""A product with joined arrays, against the product with what joins them."""

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend
from autograd.backend import threads
from autograd.nn import joined_matmul


def host(x):
    return backend.to_numpy(x)


@pytest.mark.parametrize("widths", [(4,), (3, 0, 5), (2, 2, 2, 2)])
@pytest.mark.parametrize("cache", [threads.CACHE, 2**8], ids=["", "a few rows at a time"])
def test_it_is_the_product_with_the_concatenation_and_so_are_its_gradients(
    widths, cache, rng, monkeypatch
):
    monkeypatch.setattr(threads, "CACHE", cache)
    xs = [rng.standard_normal((5, 7, n)) for n in widths]
    w, g = rng.standard_normal((sum(widths), 6)), backend.asarray(rng.standard_normal((5, 7, 6)))

    def run(product):
        tensors = [Tensor(backend.asarray(x)) for x in (*xs, w)]
        y = product(tensors[:-1], tensors[-1])
        y.backward(g)
        return [host(y), *(host(x.grad) for x in tensors)]

    expected = run(lambda parts, weight: np.matmul(np.concatenate(parts, -1), weight))
    for found, value in zip(run(joined_matmul), expected, strict=True):
        numpy.testing.assert_allclose(found, value, rtol=1e-12, atol=1e-12)

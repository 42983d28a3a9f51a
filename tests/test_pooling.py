"""Pooling, up-sampling and the exchange of space for depth."""

import numpy
import pytest

from autograd import Tensor, backend
from autograd.nn import (
    average_pool,
    depth_to_space,
    max_pool,
    space_to_depth,
    upsample_nearest,
)


def array(x):
    return backend.asarray(numpy.asarray(x, float))


def host(x):
    return backend.to_numpy(x)


X = numpy.random.default_rng(0).permutation(2 * 6 * 6 * 3).reshape(2, 6, 6, 3) / 10


def windows_of(x, window, stride):
    out = (x.shape[1] - window) // stride + 1
    for i in range(out):
        for j in range(out):
            rows = slice(i * stride, i * stride + window)
            columns = slice(j * stride, j * stride + window)
            yield i, j, x[:, rows, columns]


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 3), (3, 1), (2, 1)])
def test_pools_are_means_and_maxima_of_windows(window, stride):
    means = host(average_pool(array(X), window, stride))
    maxima = host(max_pool(array(X), window, stride))
    for i, j, part in windows_of(X, window, stride):
        numpy.testing.assert_allclose(means[:, i, j], part.mean(axis=(1, 2)), rtol=1e-12)
        numpy.testing.assert_array_equal(maxima[:, i, j], part.max(axis=(1, 2)))


def test_the_gradient_of_a_maximum_goes_to_it():
    x = Tensor(array(X))
    max_pool(x, 2).sum().backward()
    chosen = host(x.grad)
    assert chosen.sum() == 2 * 3 * 3 * 3
    for _, _, part in windows_of(numpy.stack([X, chosen], -1), 2, 2):
        values, gradients = part[..., 0], part[..., 1]
        highest = values.max(axis=(1, 2), keepdims=True)
        numpy.testing.assert_array_equal(gradients, values == highest)


def test_nearest_upsampling_repeats_and_average_pooling_undoes_it():
    up = upsample_nearest(array(X), 2)
    numpy.testing.assert_array_equal(host(up), X.repeat(2, axis=1).repeat(2, axis=2))
    numpy.testing.assert_allclose(host(average_pool(up, 2)), X, rtol=1e-12)


def test_space_to_depth_and_back_moves_every_value_once():
    deep = space_to_depth(array(X), 2)
    assert deep.shape == (2, 3, 3, 12)
    numpy.testing.assert_array_equal(host(depth_to_space(deep, 2)), X)
    assert sorted(host(deep)[0, 0, 0]) == sorted(X[0, :2, :2].ravel())


@pytest.mark.parametrize(
    "call",
    [
        lambda: max_pool(array(X), 7),
        lambda: average_pool(array(X), 0),
        lambda: space_to_depth(array(X), 4),
        lambda: depth_to_space(array(X), 2),
        lambda: upsample_nearest(array(X), 0),
    ],
)
def test_what_does_not_fit_is_one_line_with_shapes(call):
    with pytest.raises(ValueError, match=r"\(2, 6, 6, 3\)|6|scale 0") as caught:
        call()
    assert "\n" not in str(caught.value)

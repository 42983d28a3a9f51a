"""Couplings, masks and changes of shape: exact log-determinants, and inverses that stay exact."""

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend
from scratchgen.nn import MLP, ConvNet, glorot_normal
from scratchgen.transforms import Compose
from scratchgen.transforms.coupling import (
    AdditiveCoupling,
    AffineCoupling,
    channelwise,
    checkerboard,
    half,
)
from scratchgen.transforms.shapes import Flatten, Permutation, Split, Squeeze
from tests.scratchgen import bijections

OUTPUTS = {AdditiveCoupling: 1, AffineCoupling: 2}  # of the network, for each number


def of_points(kind, width=5, flip=False, context=0, seed=0, **options):
    """A coupling of vectors (N, width), as it is made."""
    outputs = OUTPUTS[kind] * width
    network = MLP(width, outputs, backend.default_rng(seed), hidden=8, context=context, **options)
    return kind(half(width, flip), network)


def of_images(kind, mask, channels, context=0, **options):
    """A coupling of images with so many channels, as it is made."""
    outputs = OUTPUTS[kind] * channels
    rng = backend.default_rng(0)
    return kind(mask, ConvNet(channels, outputs, rng, hidden=6, context=context, **options))


# ---------------------------------------------------------------------------------------- masks


def test_half_keeps_the_first_or_the_second_numbers():
    for mask in (half, channelwise):
        assert backend.to_numpy(mask(5)).tolist() == [1, 1, 0, 0, 0]
        assert backend.to_numpy(mask(5, flip=True)).tolist() == [0, 0, 1, 1, 1]


def test_checkerboard_keeps_every_other_pixel_in_rows_and_columns():
    mask = backend.to_numpy(checkerboard(2, 3))
    assert mask[..., 0].tolist() == [[1, 0, 1], [0, 1, 0]]
    assert mask.shape == (2, 3, 1)
    numpy.testing.assert_array_equal(backend.to_numpy(checkerboard(2, 3, flip=True)), 1 - mask)


def test_one_number_has_no_halves():
    with pytest.raises(ValueError, match="1 numbers have no halves"):
        half(1)


# ------------------------------------------------------------------------------------- couplings


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("context", [0, 3])
def test_a_coupling_of_vectors_is_a_bijection(kind, flip, context, rng):
    coupling = bijections.randomised(of_points(kind, flip=flip, context=context))
    given = rng.standard_normal((4, context)) if context else None
    bijections.assert_is_a_bijection(coupling, rng.standard_normal((4, 5)), given)
    given = None if given is None else backend.asarray(given)
    bijections.assert_every_parameter_learns(coupling, rng.standard_normal((4, 5)), given)


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("mask", ["checkerboard", "channelwise"])
def test_a_coupling_of_images_is_a_bijection(kind, flip, context, mask, rng):
    m = checkerboard(3, 2, flip) if mask == "checkerboard" else channelwise(2, flip)
    coupling = bijections.randomised(of_images(kind, m, 2, context), spread=0.3)
    x = rng.standard_normal((2, 3, 2, 2))
    given = rng.standard_normal((2, context)) if context else None
    bijections.assert_is_a_bijection(coupling, x, given)
    given = None if given is None else backend.asarray(given)
    bijections.assert_every_parameter_learns(coupling, x, given)


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("flip", [False, True])
def test_what_is_under_the_mask_passes_unchanged_and_the_rest_is_changed(kind, flip, rng):
    mask, x = checkerboard(4, 4, flip), rng.standard_normal((3, 4, 4, 2))
    coupling = bijections.randomised(of_images(kind, mask, 2))
    z, _ = bijections.run(coupling.forward, x)
    passes = numpy.broadcast_to(backend.to_numpy(mask) == 1, x.shape)
    numpy.testing.assert_array_equal(z[passes], x[passes])
    assert (z[~passes] != x[~passes]).all()


def test_an_affine_coupling_computes_its_equation(rng):
    coupling = bijections.randomised(of_points(AffineCoupling, width=4))
    x = rng.standard_normal((6, 4))
    seen = numpy.concatenate([x[:, :2], numpy.zeros((6, 2))], axis=1)
    s, t = numpy.split(backend.to_numpy(coupling.network(backend.asarray(seen)).data), 2, axis=1)
    s = backend.to_numpy(coupling.scale.data)[2:] * numpy.tanh(s[:, 2:])
    z, log_det = bijections.run(coupling.forward, x)
    numpy.testing.assert_allclose(z[:, 2:], x[:, 2:] * numpy.exp(s) + t[:, 2:], rtol=1e-12)
    numpy.testing.assert_allclose(log_det, s.sum(1), rtol=1e-12)


def test_an_additive_coupling_keeps_volumes(rng):
    coupling = bijections.randomised(of_points(AdditiveCoupling))
    _, log_det = bijections.run(coupling.forward, rng.standard_normal((6, 5)))
    assert (log_det == 0).all()


def test_a_coupling_of_images_starts_as_the_identity(rng):
    x = rng.standard_normal((2, 4, 4, 3)).astype("float32")
    for kind in OUTPUTS:
        z, log_det = bijections.run(of_images(kind, checkerboard(4, 4), 3).forward, x)
        numpy.testing.assert_array_equal(z, x)
        assert (log_det == 0).all()


@pytest.mark.parametrize("kind", OUTPUTS)
def test_couplings_stay_in_float32(kind, rng):
    bijections.assert_float32_stays_float32(of_points(kind), rng.standard_normal((4, 5)))
    coupling = of_images(kind, checkerboard(4, 4), 3)
    bijections.assert_float32_stays_float32(coupling, rng.standard_normal((2, 4, 4, 3)))


@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("shape", [(32,), (4, 4, 2)], ids=["vectors", "images"])
def test_dropout_acts_in_training_only(kind, shape, rng):
    if len(shape) == 1:
        coupling = of_points(kind, 32, dropout=0.5)
    else:
        coupling = of_images(kind, checkerboard(4, 4), 2, dropout=0.5)
    bijections.randomised(coupling)
    x = rng.standard_normal((8, *shape))

    def z(generator):
        return bijections.run(lambda x, _: coupling.forward(x, None, generator), x)[0]

    numpy.testing.assert_array_equal(z(None), z(None))
    assert (z(backend.default_rng(0)) != z(None)).any()


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-3)], ids=["float64", "float32"]
)
@pytest.mark.parametrize("depth", [1, 8, 64])
@pytest.mark.parametrize("kind", OUTPUTS)
def test_deep_flows_come_back_to_where_they_started(kind, depth, dtype, tolerance, rng):
    couplings = [of_points(kind, 6, i % 2 == 1, seed=i) for i in range(depth)]
    flow = Compose(couplings)
    for x in flow.parameters().values():  # as strong as in training
        x[...] = 0.5 * x.data
    flow.astype(dtype)
    x = rng.standard_normal((200, 6)).astype(dtype)
    z, there = bijections.run(flow.forward, x)
    back, again = bijections.run(flow.inverse, z)
    assert back.dtype == dtype
    assert abs(z - x).max() > 0.1
    numpy.testing.assert_allclose(back, x, rtol=0, atol=tolerance)
    numpy.testing.assert_allclose(again, -there, rtol=0, atol=depth * tolerance)


@pytest.mark.parametrize("raw", [-1e30, -40.0, 40.0, 1e30])
def test_saturated_scales_are_finite_forward_and_in_the_gradient(raw):
    h = Tensor(np.zeros((3, 8), "float32") + raw)
    coupling = AffineCoupling(half(4), lambda x, context, rng: h)
    coupling.scale[...] = np.array([1.0, 1.0, 5.0, -5.0], "float32")
    x = Tensor(backend.asarray(numpy.random.default_rng(0).standard_normal((3, 4)), "float32"))
    z, log_det = coupling.forward(x)
    back, _ = coupling.inverse(z)
    loss = np.sum(np.tanh(z)) + np.sum(log_det) + np.sum(np.tanh(back))
    loss.backward()
    numpy.testing.assert_allclose(backend.to_numpy(log_det.data), 0, atol=1e-5)  # 5 − 5
    for found in (z.data, back.data, h.grad, x.grad, coupling.scale.grad):
        assert numpy.isfinite(backend.to_numpy(found)).all()


def test_points_far_from_the_data_have_finite_gradients(rng):
    coupling = of_points(AffineCoupling, width=4)
    x = Tensor(backend.asarray(1e6 * rng.standard_normal((5, 4)), dtype="float32"))
    z, log_det = coupling.forward(x)
    (np.mean(z * z) + np.sum(log_det)).backward()
    for found in (z.data, x.grad, *(p.grad for p in coupling.parameters().values())):
        assert numpy.isfinite(backend.to_numpy(found)).all()


def test_the_network_of_images_knows_where_a_pixel_is():
    network = ConvNet(1, 1, backend.default_rng(0), hidden=8, last=glorot_normal)
    y = backend.to_numpy(network(np.zeros((1, 7, 6, 1), "float32")).data)[0, 1:-1, 1:-1, 0]
    assert len(numpy.unique(y.round(6))) == y.size  # the border, which sees padding, aside


# -------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("transform", "shape"),
    [
        (Permutation([2, 0, 1]), (4, 3)),
        (Permutation([2, 0, 1]), (2, 2, 3, 3)),
        (Squeeze(), (2, 4, 2, 3)),
        (Flatten((2, 3, 2)), (3, 2, 3, 2)),
        (Split(Flatten((2, 3, 2))), (3, 2, 3, 4)),
        (Compose([Squeeze(), Split(Compose([Squeeze(), Flatten((1, 2, 8))]))]), (2, 4, 8, 1)),
    ],
    ids=["permute vectors", "permute channels", "squeeze", "flatten", "split", "two scales"],
)
def test_moving_numbers_about_is_a_bijection_that_keeps_volumes(transform, shape, rng):
    x = rng.standard_normal(shape)
    bijections.assert_is_a_bijection(transform, x)
    z, log_det = bijections.run(transform.forward, x)
    assert (log_det == 0).all()
    for one, other in zip(x, z, strict=True):  # the same numbers, example by example
        numpy.testing.assert_array_equal(numpy.sort(one.ravel()), numpy.sort(other.ravel()))
    bijections.assert_float32_stays_float32(transform, x)


def test_a_permutation_puts_number_order_i_in_place_i():
    z, _ = bijections.run(Permutation([2, 0, 1]).forward, numpy.array([[10.0, 11.0, 12.0]]))
    assert z.tolist() == [[12, 10, 11]]


def test_a_permutation_is_kept_with_the_parameters():
    one, other = Permutation([2, 0, 1]), Permutation([0, 1, 2])
    other.load(one.values())
    x = numpy.array([[10.0, 11.0, 12.0]])
    for function in ("forward", "inverse"):
        found = [bijections.run(getattr(p, function), x)[0] for p in (one, other)]
        numpy.testing.assert_array_equal(*found)
    assert not one.parameters()


def test_squeeze_makes_channels_of_the_pixels_of_a_square_row_by_row():
    x = numpy.arange(16.0).reshape(1, 4, 4, 1)
    z, _ = bijections.run(Squeeze().forward, x)
    assert z[0, 0, 0].tolist() == [0, 1, 4, 5] and z[0, 1, 1].tolist() == [10, 11, 14, 15]


class _Initialised(Flatten):
    """Remembers that it was set from data, and from which."""

    def initialise(self, x, context=None):
        self.seen = x, context
        return super().initialise(x, context)


def test_split_initialises_the_inner_transform_with_what_goes_on(rng):
    inner, x = _Initialised((2, 2, 2)), rng.standard_normal((3, 2, 2, 4))
    split = Split(inner)
    z = split.initialise(backend.asarray(x), "context")
    numpy.testing.assert_array_equal(backend.to_numpy(inner.seen[0]), x[..., 2:])
    assert inner.seen[1] == "context"
    numpy.testing.assert_array_equal(backend.to_numpy(z), bijections.run(split.forward, x)[0])
    numpy.testing.assert_array_equal(backend.to_numpy(z)[:, :8], x[..., :2].reshape(3, 8))


class _ContextAdded(Flatten):
    """Adds the context, and in training 1, to see that both arrive."""

    def forward(self, x, context=None, rng=None):
        z, log_det = super().forward(x)
        return z + context + (rng is not None), log_det

    def inverse(self, z, context=None):
        return super().inverse(z - context)


def test_split_passes_on_context_and_generator(rng):
    split, x = Split(_ContextAdded((2, 2, 2))), rng.standard_normal((3, 2, 2, 4))
    bijections.assert_is_a_bijection(split, x, rng.standard_normal((3, 1)))
    zero = np.zeros((3, 1))
    outside, training = (
        backend.to_numpy(split.forward(backend.asarray(x), zero, r)[0]) for r in (None, "rng")
    )
    numpy.testing.assert_allclose(training - outside, numpy.repeat([[0, 1.0]], 8, 1) + 0 * outside)


def test_wrong_shapes_are_errors_that_say_what_is_expected():
    x = np.zeros((2, 3, 4, 5))
    with pytest.raises(ValueError, match=r"\[0, 2\] are not the numbers from 0, each once"):
        Permutation([0, 2])
    with pytest.raises(ValueError, match=r"Permutation: input .*, expected \(N, …, 3\)"):
        Permutation([0, 2, 1]).forward(x)
    with pytest.raises(ValueError, match="not multiples of the block"):
        Squeeze().forward(x)
    with pytest.raises(ValueError, match=r"Flatten: input \(2, 3, 4, 5\), expected \(N, 3, 4, 4\)"):
        Flatten((3, 4, 4)).forward(x)
    with pytest.raises(ValueError, match=r"Split: 5 channels have no halves; input \(2, 3, 4, 5\)"):
        Split(Flatten((3, 4, 2))).forward(x)
    with pytest.raises(ValueError, match=r"AffineCoupling: input \(2, 5\), mask \(4,\)"):
        of_points(AffineCoupling, width=4).forward(np.zeros((2, 5), "float32"))
    with pytest.raises(ValueError, match=r"the network puts out \(2, 4\) for an input \(2, 4\)"):
        AffineCoupling(half(4), lambda x, context, rng: x).forward(np.zeros((2, 4), "float32"))

"""Convolutions against their definition as a sum, their adjoints, and PyTorch."""

import itertools
from fractions import Fraction

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd.numpy as np
from autograd import Tensor, backend, core
from autograd.backend import products, scratch, threads
from autograd.nn import (
    conv,
    conv_input_grad,
    conv_kernels,
    conv_transpose,
    conv_views,
    conv_weight_grad,
    conv_winograd,
)

MASK_B = numpy.array([[1, 1, 1], [1, 1, 0], [0, 0, 0]], bool)


def array(x):
    return backend.asarray(numpy.asarray(x))


def host(x):
    return backend.to_numpy(x)


def definition(x, w, b, stride, before, after, dilation, taps):
    """y[n, o, c'] = b[c'] + Σ_t Σ_c x[n, s·o + d·t − p, c] · w[t, c, c'], one term at a time."""
    sides, kernel = x.shape[1:-1], w.shape[:-2]
    x = numpy.pad(x, [(0, 0), *zip(before, after, strict=True), (0, 0)])
    out = [
        (side + a + z - d * (k - 1) - 1) // s + 1
        for side, a, z, d, k, s in zip(sides, before, after, dilation, kernel, stride, strict=True)
    ]
    y = numpy.zeros((len(x), *out, w.shape[-1])) + b
    for o in itertools.product(*map(range, out)):
        for t in itertools.product(*map(range, kernel)):
            if taps is None or taps[t]:
                at = tuple(s * i + d * j for s, i, d, j in zip(stride, o, dilation, t, strict=True))
                y[(slice(None), *o)] += x[(slice(None), *at)] @ w[t]
    return y


@st.composite
def configurations(draw):
    """(x, w, b, options, and the options as the definition takes them)."""
    dims = draw(st.integers(1, 2))
    each = lambda low, high: tuple(draw(st.integers(low, high)) for _ in range(dims))  # noqa: E731
    kernel, stride, dilation = each(1, 4), each(1, 3), each(1, 2)
    before, after = each(0, 2), each(0, 2)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    sides = tuple(
        max(r - a - z, 1) + draw(st.integers(0, 4))
        for r, a, z in zip(reach, before, after, strict=True)
    )
    n, c_in, c_out = draw(st.integers(0, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    taps = None
    if draw(st.booleans()):
        taps = numpy.array(draw(st.lists(st.booleans(), min_size=16, max_size=16)))
        taps = taps[: int(numpy.prod(kernel))].reshape(kernel)
        taps.ravel()[draw(st.integers(0, taps.size - 1))] = True
    rng = numpy.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, w = rng.normal(size=(n, *sides, c_in)), rng.normal(size=(*kernel, c_in, c_out))
    return x, w, rng.normal(size=c_out), stride, before, after, dilation, taps


def options(stride, before, after, dilation, taps):
    padding = list(zip(before, after, strict=True))
    return {"stride": stride, "padding": padding, "dilation": dilation, "taps": taps}


@pytest.fixture(scope="module", params=["by columns", "by views"])
def way(request):
    """Convolutions of few channels go by columns; here, also in the way that others go."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "by views":
            patch.setattr(conv_views, "applies", lambda geometry, c_in, c_out: True)
        yield


@given(configurations())
def test_a_convolution_is_its_definition(way, configuration):
    x, w, b, *rest = configuration
    y = conv(array(x), array(w), array(b), **options(*rest))
    numpy.testing.assert_allclose(host(y), definition(x, w, b, *rest), rtol=1e-12, atol=1e-12)


@given(configurations(), st.integers(0, 2**32 - 1))
def test_the_three_of_the_family_are_transposes_of_one_another(way, configuration, seed):
    # ⟨conv(x, w), g⟩ is linear in each of x, w and g
    x, w, _, *rest = configuration
    how = options(*rest)
    y = conv(array(x), array(w), **how)
    g = array(numpy.random.default_rng(seed).normal(size=y.shape))
    value = host(y * g).sum()
    to_input = conv_input_grad(g, array(w), x.shape, **how)
    to_weight = conv_weight_grad(array(x), g, w.shape, **how)
    numpy.testing.assert_allclose(host(to_input * array(x)).sum(), value, rtol=1e-10, atol=1e-10)
    numpy.testing.assert_allclose(host(to_weight * array(w)).sum(), value, rtol=1e-10, atol=1e-10)


# --------------------------------------------------------------------------------- fewer products

TILES = [(outputs, taps) for taps, sides in conv_winograd.TILES.items() for outputs in sides]


@pytest.mark.parametrize(("outputs", "taps"), TILES)
def test_a_tile_is_a_convolution_exactly(outputs, taps):
    # Σ_p A[i, p] G[p, k] B[p, j] is 1 where output i reads input j through tap k = j − i, else 0
    matrices = conv_winograd.matrices(outputs, taps)
    points = range(outputs + taps - 1)
    for i, k, j in itertools.product(range(outputs), range(taps), points):
        terms = (matrices["A"][i][p] * matrices["G"][p][k] * matrices["B"][p][j] for p in points)
        assert sum(terms) == Fraction(j == i + k)


def test_tiles_of_two_outputs_are_those_of_the_docstring():
    two, three = conv_winograd.matrices(2, 2), conv_winograd.matrices(2, 3)
    half = Fraction(1, 2)
    assert two["A"] == [[1, 1, 0], [0, 1, 1]]
    assert two["B"] == [[1, -1, 0], [0, 1, 0], [0, -1, 1]]
    assert two["G"] == [[1, 0], [1, 1], [0, 1]]
    assert three["A"] == [[1, 1, 1, 0], [0, 1, -1, 1]]
    assert three["B"] == [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]]
    assert three["G"] == [[1, 0, 0], [half, half, half], [half, -half, half], [0, 0, 1]]


@st.composite
def tiled(draw):
    """A configuration that can be computed in tiles, of any sides, and the sides of the tiles."""
    pair = lambda values: (draw(values), draw(values))  # noqa: E731
    tile, taps = zip(*pair(st.sampled_from(TILES)), strict=True)
    stride, before, after = (
        pair(st.integers(1, 3)),
        pair(st.integers(0, 4)),
        pair(st.integers(0, 4)),
    )
    kernel = tuple(r * s for r, s in zip(taps, stride, strict=True))
    least = (max(1, k - a - z) for k, a, z in zip(kernel, before, after, strict=True))
    sides = tuple(side + draw(st.integers(0, 9)) for side in least)
    n, c_in, c_out = draw(st.integers(0, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rng = numpy.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, w = rng.normal(size=(n, *sides, c_in)), rng.normal(size=(*kernel, c_in, c_out))
    return (x, w, rng.normal(size=c_out), stride, before, after, (1, 1), None), tile, rng


@given(tiled(), st.booleans())
def test_tiles_of_any_side_give_a_convolution_and_its_gradients(drawn, small):
    (x, w, b, *rest), tile, rng = drawn
    how = options(*rest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv_kernels, "best_tile", lambda *_, **__: tile)
        if small:
            patch.setattr(threads, "CACHE", 1)
        # neither in order in memory nor all of it
        strided = array(numpy.repeat(x, 2, -1))[..., ::2]
        y = conv(strided, array(w), array(b), **how)
        g = rng.normal(size=y.shape)
        strided_g = array(numpy.repeat(g, 2, 1))[:, ::2]
        to_input = conv_input_grad(strided_g, array(w), x.shape, **how)
        to_weight = conv_weight_grad(strided, strided_g, w.shape, **how)
    close = {"rtol": 1e-10, "atol": 1e-10}
    numpy.testing.assert_allclose(host(y), definition(x, w, b, *rest), **close)
    # by columns
    expected = conv_input_grad(array(g), array(w), x.shape, **how)
    numpy.testing.assert_allclose(host(to_input), host(expected), **close)
    expected = conv_weight_grad(array(x), array(g), w.shape, **how)
    numpy.testing.assert_allclose(host(to_weight), host(expected), **close)


@pytest.mark.parametrize(("kernel", "stride"), [(4, 2), (3, 1)])
def test_tiles_round_little_more_than_the_direct_sum(kernel, stride, monkeypatch):
    # whose error is 1.4 to 2.8 eps, by how BLAS adds up; with the points 0, 1, −1, 2, ∞ it is 15
    rng = numpy.random.default_rng(0)
    shapes = (4, 14, 14, 64), (kernel, kernel, 64, 64), (4, 14 // stride, 14 // stride, 64)
    x, w, g = (rng.normal(size=shape).astype("float32") for shape in shapes)
    how = {"stride": stride, "padding": "same"}

    def results(dtype):
        a, b, c = (array(value.astype(dtype)) for value in (x, w, g))
        yield host(conv(a, b, **how))
        yield host(conv_input_grad(c, b, x.shape, **how))
        yield host(conv_weight_grad(a, c, w.shape, **how))

    monkeypatch.setattr(conv_kernels, "best_tile", lambda *_, **__: None)
    exact = list(results("float64"))
    side = max(conv_winograd.TILES[kernel // stride])
    monkeypatch.setattr(conv_kernels, "best_tile", lambda *_, **__: (side, side))
    for truth, found in zip(exact, results("float32"), strict=True):
        assert 0 < _relative(found, truth) < 8 * numpy.finfo("float32").eps


LARGE = {  # as large as in models, where other kernels take over
    "3x3": ((8, 16, 16, 32), (3, 3, 32, 32), {"padding": 1}),
    "3x3 mask B": ((8, 16, 16, 32), (3, 3, 32, 32), {"padding": 1, "taps": MASK_B}),
    "1x1": ((8, 16, 16, 32), (1, 1, 32, 16), {}),
    "7x7 from one channel": ((4, 12, 12, 1), (7, 7, 1, 16), {"padding": "same"}),
    "4x4 stride 2": ((8, 16, 16, 32), (4, 4, 32, 64), {"stride": 2, "padding": 1}),
    "4x4 stride 2 to an odd side": ((12, 14, 14, 32), (4, 4, 32, 64), {"stride": 2, "padding": 1}),
    "causal, dilated": ((6, 600, 16), (2, 16, 32), {"padding": "causal", "dilation": 4}),
    "causal to many channels": ((6, 300, 16), (2, 16, 64), {"padding": "causal", "dilation": 4}),
    "padding that no tap bridges": ((8, 40, 16), (2, 16, 16), {"padding": 10, "dilation": 3}),
    "some taps of one dimension, stride 2": (
        (3, 601, 32),
        (5, 32, 32),
        {"padding": "same", "stride": 2, "taps": numpy.array([0, 1, 0, 1, 1], bool)},
    ),
    "1x1 stride 2": ((8, 17, 17, 32), (1, 1, 32, 64), {"stride": 2}),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("small", [False, True], ids=["", "one image at a time, small products"])
def test_large_convolutions_and_their_gradients_are_their_definition(
    name, dtype, small, monkeypatch
):
    if small:
        monkeypatch.setattr(threads, "CACHE", 2**12)
        monkeypatch.setattr(products, "SMALL", 2**16)
    x_shape, w_shape, how = LARGE[name]
    rng = numpy.random.default_rng(0)
    x, w = rng.normal(size=x_shape).astype(dtype), rng.normal(size=w_shape).astype(dtype)
    dims = len(x_shape) - 2
    stride, dilation = (how.get(key, 1) for key in ("stride", "dilation"))
    reach = [dilation * (k - 1) for k in w_shape[:dims]]
    before, after = {
        "same": ([r // 2 for r in reach], [r - r // 2 for r in reach]),
        "causal": (reach, [0] * dims),
    }.get(how.get("padding"), ([how.get("padding", 0)] * dims,) * 2)
    rest = [stride] * dims, before, after, [dilation] * dims, how.get("taps")
    tx, tw = Tensor(array(x)), Tensor(array(w))
    y = conv(tx, tw, **how)
    g = rng.normal(size=y.shape).astype(dtype)
    y.backward(array(g))
    assert y.dtype == tx.grad.dtype == tw.grad.dtype == dtype
    eps = numpy.finfo(dtype).eps
    expected = definition(x.astype(float), w.astype(float), 0.0, *rest)
    assert _relative(host(y), expected) < 20 * eps
    # the gradients, by the definition's own linearity in x and in w
    u, v = rng.normal(size=x_shape), rng.normal(size=w_shape)
    along_x = (definition(u, w.astype(float), 0.0, *rest) * g).sum()
    along_w = (definition(x.astype(float), v, 0.0, *rest) * g).sum()
    size = numpy.sqrt(y.size * numpy.prod(w_shape[:-1]))
    assert abs((host(tx.grad) * u).sum() - along_x) < 50 * eps * size
    assert abs((host(tw.grad) * v).sum() - along_w) < 50 * eps * size


KINDS = {  # what convolutions are computed by: sides, kernel, channels, stride
    "columns": ((9, 9), (3, 3), (2, 9), 1),
    "columns of one channel": ((9, 9), (3, 3), (1, 9), 1),
    "tiles": ((9, 9), (3, 3), (64, 64), 1),
    "tiles of residues": ((14, 14), (4, 4), (32, 64), 2),
}


@pytest.mark.parametrize("name", KINDS)
def test_nothing_that_was_computed_before_leaves_a_trace(name, monkeypatch):
    def family(name):
        """A convolution and both of its gradients, always of the same numbers."""
        sides, kernel, channels, stride = KINDS[name]
        draw = numpy.random.default_rng(0).standard_normal
        x, w = array(draw((12, *sides, channels[0]))), array(draw((*kernel, *channels)))
        options = {"stride": stride, "padding": "same"}
        y = conv(x, w, **options)
        x_bar = conv_input_grad(y, w, x.shape, **options)
        w_bar = conv_weight_grad(x, y, w.shape, **options)
        return [host(result) for result in (y, x_bar, w_bar)]

    monkeypatch.setattr(scratch, "_own", scratch._Own())  # whose memory is new
    expected = family(name)
    for other in KINDS:
        family(other)
        for found, before in zip(family(name), expected, strict=True):
            numpy.testing.assert_array_equal(found, before)


def _relative(a, b):
    return numpy.linalg.norm(a - b) / numpy.linalg.norm(b)


def test_taps_equal_a_masked_weight_and_leave_the_rest_without_gradient():
    rng = numpy.random.default_rng(0)
    x, w = array(rng.normal(size=(2, 5, 5, 3))), Tensor(array(rng.normal(size=(3, 3, 3, 4))))
    masked = w * array(MASK_B[:, :, None, None].astype(float))
    y = conv(x, w, padding="same", taps=MASK_B)
    numpy.testing.assert_allclose(host(y), host(conv(x, masked, padding="same")), atol=1e-12)
    np.sum(y**2).backward()
    assert not host(w.grad)[~MASK_B].any() and host(w.grad)[MASK_B].all()


def test_causal_padding_reads_no_later_step():
    rng = numpy.random.default_rng(0)
    x, w = Tensor(array(rng.normal(size=(1, 9, 1)))), array(rng.normal(size=(2, 1, 1)))
    conv(x, w, padding="causal", dilation=3)[0, 5, 0].backward()
    assert numpy.flatnonzero(host(x.grad)).tolist() == [2, 5]


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(4, 2, 1), (3, 2, 1), (5, 1, 0)])
def test_a_transposed_convolution_is_the_adjoint_and_has_pytorchs_size(kernel, stride, padding):
    rng = numpy.random.default_rng(0)
    x, w = rng.normal(size=(2, 6, 6, 3)), rng.normal(size=(kernel, kernel, 5, 3))
    how = {"stride": stride, "padding": padding}
    up = conv_transpose(array(x), array(w), **how)
    side = (6 - 1) * stride - 2 * padding + kernel
    assert up.shape == (2, side, side, 5)
    y = rng.normal(size=up.shape)
    down = conv(array(y), array(w), **how)
    assert down.shape == x.shape
    numpy.testing.assert_allclose((host(up) * y).sum(), (host(down) * x).sum(), rtol=1e-12)


def test_a_convolution_keeps_its_input_and_its_weight_alone():
    x, w = Tensor(numpy.ones((2, 8, 8, 3))), Tensor(numpy.ones((3, 3, 3, 4)))
    kept = core.captured(conv(x, w, padding="same").node)
    assert {id(value) for value in kept} == {id(x), id(w)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv(array(numpy.zeros((2, 8, 8, 3))), array(numpy.zeros((3, 3, 64, 4)))), "3"),
        (lambda: conv(array(numpy.zeros((2, 2, 2, 1))), array(numpy.zeros((3, 3, 1, 1)))), "reach"),
        (
            lambda: conv(array(numpy.zeros((2, 8, 1))), array(numpy.zeros((3, 1, 1))), padding="x"),
            "padding",
        ),
        (
            lambda: conv(array(numpy.zeros((2, 8, 1))), array(numpy.zeros((3, 1, 1))), stride=0),
            "stride",
        ),
    ],
)
def test_a_convolution_that_does_not_fit_says_so_with_shapes(call, message):
    with pytest.raises(ValueError, match=rf"^conv: .*{message}.*\(2, ") as caught:
        call()
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------ peers


@pytest.mark.peers
@given(configurations())
def test_a_convolution_and_its_gradients_agree_with_pytorch(configuration):
    torch = pytest.importorskip("torch")
    x, w, b, stride, before, after, dilation, taps = configuration
    if len(x) == 0:
        return
    ours = [Tensor(array(a)) for a in (x, w, b)]
    y = conv(*ours, **options(stride, before, after, dilation, taps))
    g = numpy.random.default_rng(0).normal(size=y.shape)
    y.backward(array(g))

    dims = len(stride)
    theirs = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    mask = 1.0 if taps is None else torch.tensor(taps[..., None, None].astype(float))
    pads = [p for pair in zip(before, after, strict=True) for p in pair]
    pads = [n for i in range(dims - 1, -1, -1) for n in pads[2 * i : 2 * i + 2]]
    function = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d}[dims]
    z = function(
        torch.nn.functional.pad(theirs[0].movedim(-1, 1), pads),
        (theirs[1] * mask).movedim((-1, -2), (0, 1)),
        theirs[2],
        stride=stride,
        dilation=dilation,
    ).movedim(1, -1)
    z.backward(torch.tensor(g))
    numpy.testing.assert_allclose(host(y), z.detach().numpy(), rtol=1e-10, atol=1e-10)
    for a, c in zip(ours, theirs, strict=True):
        numpy.testing.assert_allclose(host(a.grad), c.grad.numpy(), rtol=1e-10, atol=1e-10)

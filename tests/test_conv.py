"""Convolutions against their definition as a sum, their adjoints, and PyTorch."""

import itertools

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd.numpy as np
from autograd import Tensor, backend, core
from autograd.backend import products, threads
from autograd.nn import (
    conv,
    conv_input_grad,
    conv_transpose,
    conv_views,
    conv_weight_grad,
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


LARGE = {  # as large as in models, where other kernels take over
    "3x3": ((8, 16, 16, 32), (3, 3, 32, 32), {"padding": 1}),
    "3x3 mask B": ((8, 16, 16, 32), (3, 3, 32, 32), {"padding": 1, "taps": MASK_B}),
    "1x1": ((8, 16, 16, 32), (1, 1, 32, 16), {}),
    "7x7 from one channel": ((4, 12, 12, 1), (7, 7, 1, 16), {"padding": "same"}),
    "4x4 stride 2": ((8, 16, 16, 32), (4, 4, 32, 64), {"stride": 2, "padding": 1}),
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

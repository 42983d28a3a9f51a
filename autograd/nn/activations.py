"""Activation functions, and the softmax family.

Each is one operation. A rule that can be written in the output reads the output, which the next
layer keeps alive anyway, and not the input.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Iterator
from typing import Any

import numpy

from autograd import backend
from autograd.backend import xp
from autograd.backend.maxima import at_least
from autograd.backend.threads import blocks, in_parts
from autograd.backend.whole import whole
from autograd.core import constant, defvjp, is_recording
from autograd.numpy.elementwise import exp, minimum, tanh
from autograd.numpy.reductions import sum
from autograd.table import Call, Draw, call, operation

# ------------------------------------------------------------------------------------ saturating


def _any_shape(d: Draw) -> Call:
    return call(d.array(d.shape()))


def _no_kinks(d: Draw) -> Call:
    return call(d.distinct(d.shape()))


@operation(r"\sigma(x) = \frac{1}{1 + e^{-x}}", _any_shape, [call("text")])
def sigmoid(x):
    """σ(x) = 1 / (1 + e⁻ˣ), with full relative accuracy however small the result."""
    if backend.current() != "numpy":
        return backend.special().expit(x)
    # in NumPy's vectorised exp: 3 to 7 times faster than SciPy's expit, and within 3 ulp of it
    y = xp.empty_like(x)
    xp.negative(x, out=y)
    with numpy.errstate(over="ignore"):  # e^∞ = ∞ is meant: σ is then 0
        xp.exp(y, out=y)
    y += 1
    return xp.divide(1, y, out=y)


defvjp(sigmoid, lambda y, x: lambda g: g * (y * (1 - y)))


@operation(r"y = \log(1 + e^x)", _any_shape, [call("text")])
def softplus(x):
    """log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|), which overflows nowhere."""
    y = xp.empty_like(x)
    xp.abs(x, out=y)
    xp.negative(y, out=y)
    xp.exp(y, out=y)
    xp.log1p(y, out=y)
    y += at_least(0, x)
    return y


defvjp(softplus, lambda _, x: lambda g: g * sigmoid(x))


@operation(r"\Phi(x) = \tfrac12 (1 + \operatorname{erf}(x / \sqrt2))", _any_shape, [call("text")])
def normal_cdf(x):
    """Φ(x), the distribution function of the standard normal; accurate in both tails."""
    return backend.special().ndtr(x)


_INV_SQRT_2PI = 1 / math.sqrt(2 * math.pi)

defvjp(normal_cdf, lambda _, x: lambda g: g * (_INV_SQRT_2PI * exp(-0.5 * (x * x))))


# ------------------------------------------------------------------------------------ rectifiers


LARGE = 2**18  # numbers, from which on a whole function in parts is faster than steps of NumPy's
PASSES = 2  # a number here takes as long as so many of those that in_parts counts


def _is_large(x: Any) -> bool:
    """Whether it pays to work on x in parts.

    1.6 million numbers of a leaky rectifier then take 0.22 ms in place of 0.49, its gradient 0.51
    in place of 1.5; and the gradient of 400,000, on one core, 0.13 in place of 0.29.
    """
    if backend.current() != "numpy" or getattr(x, "size", 0) < LARGE:
        return False
    return x.ndim > 0 and x.dtype.kind == "f"


@whole
def _times_slope(g: Any, y: Any, slope: float) -> Any:
    """ȳ where y > 0, slope · ȳ elsewhere."""
    x = xp.empty(g.shape, g.dtype)

    def work(start: int, stop: int) -> None:
        for rows in _blocks(x, start, stop):
            x[rows] = y[rows] > 0
            if slope:
                at_least(slope, x[rows], out=x[rows])
            x[rows] *= g[rows]

    in_parts(work, len(g), PASSES * g.size)
    return x


def _blocks(x: Any, start: int, stop: int) -> Iterator[slice]:
    """Examples, some at a time."""
    of_all = 3 * x[:1].nbytes  # results and what they are computed from
    return blocks(start, stop, of_all, stream=True)


@operation(r"y = \max(x, 0)", _no_kinks, [call("text")])
def relu(x):
    """max(x, 0) (Nair & Hinton 2010). The gradient at 0 is taken to be 0."""
    if not _is_large(x):
        return at_least(0, x)
    y = xp.empty(x.shape, x.dtype)
    in_parts(
        lambda start, stop: at_least(0, x[start:stop], out=y[start:stop]), len(x), PASSES * x.size
    )
    return y


def _relu_rule(y, x):
    def vjp(g):
        if is_recording() or not _is_large(g):
            return g * (y > 0)
        return _times_slope(g, constant(y), 0.0)

    return vjp


defvjp(relu, _relu_rule)


@operation(
    r"y = \max(x, a x)",
    _no_kinks,
    [call(numpy.zeros(3), 1.5), call(numpy.zeros(3), -0.1)],
)
def leaky_relu(x, slope=0.01):
    """x where x > 0, slope · x elsewhere (Maas et al. 2013). The gradient at 0 is the slope.

    Raises ValueError unless 0 ≤ slope ≤ 1: then the sign of the output tells that of the input.
    """
    if not 0 <= slope <= 1:
        raise ValueError(f"the slope must lie in [0, 1], not {slope}")
    if not _is_large(x):
        return xp.maximum(x, x * slope)
    y = xp.empty(x.shape, x.dtype)

    def work(start: int, stop: int) -> None:
        for rows in _blocks(x, start, stop):
            xp.multiply(x[rows], slope, out=y[rows])
            xp.maximum(x[rows], y[rows], out=y[rows])

    in_parts(work, len(x), PASSES * x.size)
    return y


def _leaky_rule(y, x, slope=0.01):
    def vjp(g):
        if is_recording() or not _is_large(g):
            return g * xp.maximum((y > 0).astype(g.dtype), slope)
        return _times_slope(g, constant(y), slope)

    return vjp


defvjp(leaky_relu, _leaky_rule, None)


@operation(
    r"y = \max(x, 0) + a \, (e^{\min(x, 0)} - 1)",
    lambda d: call(d.distinct(d.shape()), d.choice([1, 2])),
    [call(numpy.zeros(3), -1.0)],
)
def elu(x, alpha=1.0):
    """x where x > 0, α (eˣ − 1) elsewhere (Clevert et al. 2016). The gradient at 0 is α.

    Raises ValueError if α < 0: the function would not be monotone.
    """
    if alpha < 0:
        raise ValueError(f"alpha must not be negative, but it is {alpha}")
    y = xp.empty_like(x)
    xp.minimum(x, 0, out=y)
    xp.expm1(y, out=y)
    if alpha != 1:
        y *= alpha
    y += at_least(0, x)
    return y


def _elu_rule(y, x, alpha=1.0):
    """Where x < 0, dy/dx = α eˣ = y + α."""

    def vjp(g):
        slope = minimum(y, 0.0) + alpha
        if alpha != 1:
            slope = slope + (y > 0).astype(y.dtype) * (1 - alpha)
        return g * slope

    return vjp


defvjp(elu, _elu_rule, None)


@operation(
    r"y = x \, \Phi(x)",
    lambda d: call(d.array(d.shape()), d.choice(["none", "tanh"])),
    [call("text"), call(numpy.zeros(3), "erf")],
)
def gelu(x, approximate="none"):
    """x Φ(x), where Φ(x) = (1 + erf(x/√2)) / 2 (Hendrycks & Gimpel 2016).

    ``approximate="tanh"``: their x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2 in place of it, which
    differs by less than 5e-4 and is faster. Raises ValueError for any other name.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"approximate is 'none' or 'tanh', not {approximate!r}")
    if approximate == "none":
        return x * backend.special().ndtr(x)
    y = xp.tanh(_SCALE * (x + _CUBIC * (x * x * x)))
    y += 1
    y *= x
    y *= 0.5
    return y


_SCALE, _CUBIC = math.sqrt(2 / math.pi), 0.044715


def _gelu_rule(_, x, approximate="none"):
    if approximate == "none":
        return lambda g: g * (normal_cdf(x) + x * (_INV_SQRT_2PI * exp(-0.5 * (x * x))))

    def vjp(g):
        t = tanh(_SCALE * (x + _CUBIC * (x * x * x)))
        inner = _SCALE * (1 + 3 * _CUBIC * (x * x))
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner)

    return vjp


defvjp(gelu, _gelu_rule, None)


# --------------------------------------------------------------------------------------- softmax


def _along_axis(d: Draw) -> Call:
    shape = d.shape(min_ndim=1, min_side=1)
    return call(d.array(shape), d.axis(len(shape)))


_NO_SUCH_AXIS = call(numpy.zeros((2, 3)), 2)


def exponentials(x: Any, axis: int = -1, out: Any = None) -> tuple[Any, Any, Any]:
    """(eˣ⁻ᵐ, its sums over ``axis``, m) with the axis kept: what softmax and its losses are of.

    m is the largest x along the axis, so that nothing overflows, or None for 0 where nothing can.
    """
    # Two passes over the array for its ends take a fifth of the time of those for rows' maxima and
    # differences (logits of 4096 rows of 17, and 12544 of 256).
    limit = 0.4 * math.log(float(numpy.finfo(x.dtype).max))
    if backend.current() == "numpy" and x.size and -limit < x.min() and x.max() < limit:
        shift = None
        e = xp.exp(x, out=out)
    else:
        shift = _max_along(axis, x)
        e = xp.subtract(x, shift, out=out)
        xp.exp(e, out=e)
    return e, _sum_along(axis, e), shift


def _max_along(axis: int, x: Any) -> Any:
    """max x over ``axis``, which is kept."""
    if backend.current() == "numpy" and axis in (-1, x.ndim - 1) and 0 < x.shape[-1] <= 32:
        # over short rows NumPy's max takes 3 (for 17) to 8 times (for 10) as long as over columns
        columns = x.reshape(-1, x.shape[-1]).T.copy()
        return columns.max(0).reshape((*x.shape[:-1], 1))
    return xp.max(x, axis=axis, keepdims=True)


def _sum_along(axis: int, *factors: Any) -> Any:
    """Σ of the product of the ``factors`` over ``axis``, which is kept. For plain arrays."""
    if backend.current() == "numpy" and axis in (-1, factors[0].ndim - 1):
        # einsum sums rows of 17 to 256 3 to 4 times faster than sum, and makes no product first
        terms = ",".join(["...i"] * len(factors))
        return xp.einsum(f"{terms}->...", *factors)[..., None]
    return xp.sum(functools.reduce(operator.mul, factors), axis=axis, keepdims=True)


@operation(r"y_i = \frac{e^{x_i}}{\sum_j e^{x_j}}", _along_axis, [_NO_SUCH_AXIS])
def softmax(x, axis=-1):
    """Probabilities along ``axis`` from logits ``x``; −∞ gives 0, unless the whole row is −∞."""
    e, total, _ = exponentials(x, axis)
    e /= total
    return e


def _softmax_rule(y, x, axis=-1):
    """x̄ = y (ȳ − Σ ȳ y)"""

    def vjp(g):
        if is_recording():
            return y * (g - sum(g * y, axis=axis, keepdims=True))
        x = g - _sum_along(axis, g, y.data)
        x *= y.data
        return x

    return vjp


defvjp(softmax, _softmax_rule, None)


@operation(r"y_i = x_i - \log \sum_j e^{x_j}", _along_axis, [_NO_SUCH_AXIS])
def log_softmax(x, axis=-1):
    """Log-probabilities along ``axis`` from logits ``x``, accurate where they are close to 0."""
    y = x - _max_along(axis, x)
    y -= xp.log(_sum_along(axis, xp.exp(y)))
    return y


def _log_softmax_rule(y, x, axis=-1):
    """x̄ = ȳ − eʸ Σ ȳ"""

    def vjp(g):
        if is_recording():
            return g - exp(y) * sum(g, axis=axis, keepdims=True)
        p = xp.exp(y.data)
        p *= _sum_along(axis, g)
        return xp.subtract(g, p, out=p)

    return vjp


defvjp(log_softmax, _log_softmax_rule, None)

"""Functions of each element on its own.

A row is: the name, the formula, where sample inputs lie, and the rule that takes ``g`` = ȳ, the
gradient with respect to the output, to the gradient with respect to the input.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from autograd.backend import xp
from autograd.core import VjpMaker, defvjp
from autograd.table import Call, Draw, call, operation

Interval = tuple[float, float]


def _unary(
    name: str, formula: str, domain: Interval, rule: VjpMaker | None, analytic: bool = True
) -> Any:
    def function(x):
        return getattr(xp, name)(x)

    def samples(d: Draw) -> Call:
        return call(d.distinct(d.shape()) if domain is _NOT_ZERO else d.array(d.shape(), *domain))

    return _enter(name, function, formula, samples, call("text"), analytic, rule)


def _binary(
    name: str,
    formula: str,
    domains: tuple[Interval, Interval],
    *rules: VjpMaker | None,
    analytic: bool = True,
) -> Any:
    def function(x1, x2):
        return getattr(xp, name)(x1, x2)

    def samples(d: Draw) -> Call:
        first, second = d.broadcastable(2)
        if domains is _UNEQUAL:
            return call(d.distinct(first), d.distinct(second, offset=0.05))
        return call(d.array(first, *domains[0]), d.array(second, *domains[1]))

    wrong = call(numpy.zeros((2, 3)), numpy.zeros(4))
    return _enter(name, function, formula, samples, wrong, analytic, *rules)


def _enter(name, function, formula, samples, wrong, analytic, *rules) -> Any:
    function.__name__ = name
    function.__doc__ = f"Elementwise {formula}; the signature is that of ``numpy.{name}``."
    op = operation(formula, samples, [wrong], analytic)(function)
    defvjp(op, *rules)
    return op


_REAL = (-2.0, 2.0)
_POSITIVE = (0.3, 2.0)
_INSIDE = (-0.9, 0.9)
_NOT_ZERO = (-math.inf, math.inf)  # both signs, but not close to zero
_UNEQUAL = (_NOT_ZERO, _NOT_ZERO)  # neither larger everywhere, but nowhere close to each other

# ------------------------------------------------------------------------------------ arithmetic


def _same(g: Any) -> Any:
    return g


def _negated(g: Any) -> Any:
    return -g


def _power_base(_, x1, x2):
    if isinstance(x2, int | float):  # as in x**2: no array of exponents to guard
        return lambda g: g * (x2 * x1 ** (x2 - 1)) if x2 != 0 else g * 0.0
    # where the exponent is 0 so is the factor, at x1 = 0 too, where x1**-1 is not finite
    return lambda g: g * (x2 * x1 ** where(x2 == 0, 1.0, x2 - 1))


def _power_exponent(y, x1, x2):
    # log 0 meets only y = 0, and 0 · log 0 = 0 here
    return lambda g: g * (y * log(where(x1 == 0, 1.0, x1)))


# fmt: off
add = _binary("add", r"y = x_1 + x_2", (_REAL, _REAL),
    lambda _, x1, x2: _same,
    lambda _, x1, x2: _same)
subtract = _binary("subtract", r"y = x_1 - x_2", (_REAL, _REAL),
    lambda _, x1, x2: _same,
    lambda _, x1, x2: _negated)
multiply = _binary("multiply", r"y = x_1 x_2", (_REAL, _REAL),
    lambda _, x1, x2: lambda g: g * x2,
    lambda _, x1, x2: lambda g: g * x1)
divide = _binary("divide", r"y = x_1 / x_2", (_REAL, _POSITIVE),
    lambda _, x1, x2: lambda g: g / x2,
    lambda y, x1, x2: lambda g: -g * y / x2)
power = _binary("power", r"y = x_1^{x_2}", (_POSITIVE, _REAL), _power_base, _power_exponent)
mod = _binary("mod", r"y = x_1 - \lfloor x_1 / x_2 \rfloor x_2", ((1.6, 1.9), (0.65, 0.75)),
    lambda _, x1, x2: _same,
    lambda _, x1, x2: lambda g: -g * floor_divide(x1, x2), analytic=False)
floor_divide = _binary("floor_divide", r"y = \lfloor x_1 / x_2 \rfloor", ((0.1, 0.3), (0.5, 2.0)),
    None, None, analytic=False)
arctan2 = _binary("arctan2", r"y = \arg(x_2 + i x_1)", (_POSITIVE, _REAL),
    lambda _, x1, x2: lambda g: g * x2 / (x1 * x1 + x2 * x2),
    lambda _, x1, x2: lambda g: -g * x1 / (x1 * x1 + x2 * x2), analytic=False)
hypot = _binary("hypot", r"y = \sqrt{x_1^2 + x_2^2}", (_POSITIVE, _REAL),
    lambda y, x1, x2: lambda g: g * x1 / y,
    lambda y, x1, x2: lambda g: g * x2 / y, analytic=False)
logaddexp = _binary("logaddexp", r"y = \log(e^{x_1} + e^{x_2})", (_REAL, _REAL),
    lambda y, x1, x2: lambda g: g * exp(x1 - y),
    lambda y, x1, x2: lambda g: g * exp(x2 - y), analytic=False)
logaddexp2 = _binary("logaddexp2", r"y = \log_2(2^{x_1} + 2^{x_2})", (_REAL, _REAL),
    lambda y, x1, x2: lambda g: g * exp2(x1 - y),
    lambda y, x1, x2: lambda g: g * exp2(x2 - y), analytic=False)

negative = _unary("negative", r"y = -x", _REAL, lambda _, x: _negated)
reciprocal = _unary("reciprocal", r"y = 1 / x", _POSITIVE, lambda y, x: lambda g: -g * y * y)
square = _unary("square", r"y = x^2", _REAL, lambda _, x: lambda g: g * (2 * x))
sqrt = _unary("sqrt", r"y = \sqrt{x}", _POSITIVE, lambda y, x: lambda g: g / (2 * y))
cbrt = _unary("cbrt", r"y = \sqrt[3]{x}", _POSITIVE, lambda y, x: lambda g: g / (3 * y * y),
    analytic=False)

# ------------------------------------------------------------------- exponentials and logarithms

exp = _unary("exp", r"y = e^x", _REAL, lambda y, x: lambda g: g * y)
exp2 = _unary("exp2", r"y = 2^x", _REAL, lambda y, x: lambda g: g * (math.log(2) * y))
expm1 = _unary("expm1", r"y = e^x - 1", _REAL, lambda y, x: lambda g: g * (y + 1))
log = _unary("log", r"y = \log x", _POSITIVE, lambda _, x: lambda g: g / x)
log2 = _unary("log2", r"y = \log_2 x", _POSITIVE, lambda _, x: lambda g: g / (math.log(2) * x))
log10 = _unary("log10", r"y = \log_{10} x", _POSITIVE,
    lambda _, x: lambda g: g / (math.log(10) * x))
log1p = _unary("log1p", r"y = \log(1 + x)", _INSIDE, lambda _, x: lambda g: g / (1 + x))

# -------------------------------------------------------------------- trigonometric and hyperbolic

sin = _unary("sin", r"y = \sin x", _REAL, lambda _, x: lambda g: g * cos(x))
cos = _unary("cos", r"y = \cos x", _REAL, lambda _, x: lambda g: -g * sin(x))
tan = _unary("tan", r"y = \tan x", _INSIDE, lambda y, x: lambda g: g * (1 + y * y))
arcsin = _unary("arcsin", r"y = \arcsin x", _INSIDE, lambda _, x: lambda g: g / sqrt(1 - x * x))
arccos = _unary("arccos", r"y = \arccos x", _INSIDE, lambda _, x: lambda g: -g / sqrt(1 - x * x))
arctan = _unary("arctan", r"y = \arctan x", _INSIDE, lambda _, x: lambda g: g / (1 + x * x))
sinh = _unary("sinh", r"y = \sinh x", _REAL, lambda _, x: lambda g: g * cosh(x))
cosh = _unary("cosh", r"y = \cosh x", _REAL, lambda _, x: lambda g: g * sinh(x))
tanh = _unary("tanh", r"y = \tanh x", _REAL, lambda y, x: lambda g: g * (1 - y * y))
arcsinh = _unary("arcsinh", r"y = \operatorname{arsinh} x", _INSIDE,
    lambda _, x: lambda g: g / sqrt(1 + x * x))
arccosh = _unary("arccosh", r"y = \operatorname{arcosh} x", (1.3, 3.0),
    lambda _, x: lambda g: g / sqrt(x * x - 1))
arctanh = _unary("arctanh", r"y = \operatorname{artanh} x", _INSIDE,
    lambda _, x: lambda g: g / (1 - x * x))
deg2rad = _unary("deg2rad", r"y = \pi x / 180", _REAL, lambda _, x: lambda g: g * (math.pi / 180),
    analytic=False)
rad2deg = _unary("rad2deg", r"y = 180 x / \pi", _REAL, lambda _, x: lambda g: g * (180 / math.pi),
    analytic=False)

# ------------------------------------------------------------------- pieces: choices and rounding

absolute = _unary("absolute", r"y = |x|", _NOT_ZERO, lambda _, x: lambda g: g * sign(x),
    analytic=False)
sign = _unary("sign", r"y = x / |x|", _NOT_ZERO, None, analytic=False)
floor = _unary("floor", r"y = \lfloor x \rfloor", (0.1, 0.9), None, analytic=False)
ceil = _unary("ceil", r"y = \lceil x \rceil", (0.1, 0.9), None, analytic=False)
trunc = _unary("trunc", r"y = \operatorname{sign}(x) \lfloor |x| \rfloor", (0.1, 0.9), None,
    analytic=False)
rint = _unary("rint", r"y = \lfloor x + \tfrac12 \rfloor", (0.1, 0.4), None, analytic=False)
maximum = _binary("maximum", r"y = \max(x_1, x_2)", _UNEQUAL,
    lambda _, x1, x2: lambda g: _share(g, x1, x2),
    lambda _, x1, x2: lambda g: _share(g, x2, x1), analytic=False)
minimum = _binary("minimum", r"y = \min(x_1, x_2)", _UNEQUAL,
    lambda _, x1, x2: lambda g: _share(g, x2, x1),
    lambda _, x1, x2: lambda g: _share(g, x1, x2), analytic=False)
# fmt: on
true_divide, remainder, abs, fabs = divide, mod, absolute, absolute
degrees, radians, fix = rad2deg, deg2rad, trunc


def _share(g: Any, winner: Any, loser: Any) -> Any:
    """What of ``g`` goes to ``winner``: all where it is larger, half where the two are equal."""
    return where(winner > loser, g, where(winner == loser, 0.5 * g, 0.0))


def _where_samples(d: Draw) -> Call:
    condition, x, y = d.broadcastable(3)
    return call(d.array(condition) > 0, d.array(x), d.array(y))


@operation(
    r"y = x_1 \text{ where } c \text{, else } x_2",
    _where_samples,
    [call(numpy.zeros(2, bool), numpy.zeros(3), numpy.zeros(3))],
    analytic=True,
)
def where(condition, x=None, y=None):
    """``x`` where the condition, a plain array, holds and ``y`` elsewhere.

    With the condition alone, the indices where it holds.
    """
    return xp.where(condition) if x is None and y is None else xp.where(condition, x, y)


defvjp(
    where,
    None,
    lambda _, condition, x=None, y=None: lambda g: where(condition, g, 0.0),
    lambda _, condition, x=None, y=None: lambda g: where(condition, 0.0, g),
)


def _clip_samples(d: Draw) -> Call:
    return call(d.distinct(d.shape()), d.choice([None, -0.2]), d.choice([0.25, 0.5]))


@operation(
    r"y = \min(\max(x, a_{\min}), a_{\max})",
    _clip_samples,
    [call(numpy.zeros(3), "low", 1.0)],
)
def clip(a, a_min=None, a_max=None):
    """``a`` limited to [a_min, a_max], which are constants. At a limit the gradient passes."""
    return xp.clip(a, a_min, a_max)


def _clip_rule(_, a, a_min=None, a_max=None):
    low = -math.inf if a_min is None else a_min
    high = math.inf if a_max is None else a_max
    return lambda g: where((a >= low) & (a <= high), g, 0.0)


defvjp(clip, _clip_rule, None, None)


@operation(
    r"y = \lfloor 10^n x + \tfrac12 \rfloor / 10^n",
    lambda d: call(d.array(d.shape(), 0.11, 0.14), d.choice([0, 1])),
    [call("text")],
)
def round(a, decimals=0):
    """``a`` rounded to that many decimals; constant almost everywhere, so without a gradient."""
    return xp.round(a, decimals)


defvjp(round, None)
around = round


@operation(r"y = x", lambda d: call(d.array(d.shape()), numpy.float64), [call("text", float)])
def astype(a, dtype):
    """``a`` converted to another floating-point type; the gradient is converted back."""
    return xp.asarray(a).astype(dtype)


defvjp(astype, lambda _, a, dtype: _same)

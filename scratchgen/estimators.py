"""Gradients of expectations by the parameters of what is drawn, side by side.

S. Mohamed, M. Rosca, M. Figurnov and A. Mnih (2020), "Monte Carlo gradient estimation in machine
learning".

How E_{q_φ(z)} f(z) changes with φ is not seen in a draw: z is a number, and f(z) no function of φ.
There are two ways to a gradient that can be estimated from draws.

**Score function** (R. J. Williams 1992, "Simple statistical gradient-following algorithms for
connectionist reinforcement learning", REINFORCE). The density is differentiated:

    ∇ E_q f = ∫ f(z) ∇q(z) dz = ∫ q(z) f(z) ∇ ln q(z) dz = E_q f(z) ∇ ln q(z)

since ∇ ln q = ∇q / q. Nothing is asked of f, and z may be discrete. But the estimate only says
which draws did well, not in which direction they would have done better, and is noisy. As
E_q ∇ ln q = ∇ ∫ q(z) dz = ∇ 1 = 0, any *baseline* b that does not depend on z may be subtracted,

    ∇ E_q f = E_q (f(z) − b) ∇ ln q(z)

and one near E_q f makes the noise less.

**Pathwise**, or reparameterisation (D. P. Kingma and M. Welling 2014, "Auto-encoding variational
Bayes", §2.4). The draw is written as a function of φ and of noise that does not depend on φ, so
that it is the integrand alone that is differentiated:

    z = g(φ, ε):   ∇ E_q f = ∇ ∫ p(ε) f(g(φ, ε)) dε = E_ε ∇f(z) ∂g/∂φ

This needs the derivative of f, and a z that moves continuously with φ.

**Discrete z, relaxed.** A category with the probabilities softmax(l) can be drawn as a function of
l and noise (E. J. Gumbel 1954; C. J. Maddison, D. Tarlow and T. Minka 2014, "A* sampling"),

    z = argmax_k (l_k + G_k),   G_k = −ln(−ln u_k),   u_k uniform in (0, 1)

but not continuously. With softmax(· / τ) for argmax it is (E. Jang, S. Gu and B. Poole 2017,
"Categorical reparameterization with Gumbel-softmax", eq. 2; C. J. Maddison, A. Mnih and Y. W. Teh
2017, "The concrete distribution"): a vector near to a corner of the simplex, which as τ → 0 it
becomes. The pathwise gradient then is that of another expectation: biased, less so with a smaller
τ, and noisier. *Straight-through*, f is given the corner itself, and the gradient is taken as if it
had been given the vector.

The functions here return f of the draws. Their value is that of the expectation on average, and
their gradient, which :meth:`autograd.Tensor.backward` finds, the estimate. Average over as many
draws as wanted: their first axes are those of the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import constant, no_grad
from autograd.nn import one_hot, softmax
from scratchgen.distributions.temperature import tempered

Function = Callable[[Any], Any]
"""z (…, numbers of z) → f(z) (…)."""

# --------------------------------------------------------------------- of any q, and of a smooth f


def score_function(
    f: Function, q: Any, parameters: tuple, rng: Any, baseline: Function | None = None
) -> Any:
    """f(z) of draws z ~ q, with the gradient (f(z) − b) ∇ ln q(z).

    ``q``: a module of :mod:`scratchgen.distributions`. ``baseline``: from the values f(z), the b of
    each draw, which must not depend on that draw (:func:`leave_one_out`); None for 0. Parameters of
    f itself get the gradient of f(z) as ever.
    """
    with no_grad():
        z = q.sample(*parameters, rng)
    value = f(z)
    log_q = q.log_prob(*parameters, z)
    log_q = np.sum(log_q.reshape(*value.shape, -1), axis=-1)
    b = baseline(constant(value)) if baseline else 0.0
    return value + (constant(value) - b) * _gradient_only(log_q)


def pathwise(f: Function, q: Any, parameters: tuple, rng: Any) -> Any:
    """f(z) of draws z = g(φ, ε), with the gradient of that.

    ``q``: one whose ``sample`` is differentiable, such as :mod:`scratchgen.distributions.normal`.
    """
    z = q.sample(*parameters, rng)
    return f(z)


def leave_one_out(values: Any) -> Any:
    """A baseline for several draws (k, …) of the same q: for each the mean of f of the others.

    W. Kool, H. van Hoof and M. Welling (2019), "Buy 4 REINFORCE samples, get a baseline for free!".
    Raises ValueError if there is one draw only.
    """
    k = len(values)
    if k < 2:
        raise ValueError("leave_one_out: one draw, and no others to take the mean of; at least 2")
    return (np.sum(values, axis=0) - values) / (k - 1)


# ---------------------------------------------------------------------------------- categories


def gumbel(shape: tuple[int, ...], rng: Any, dtype: Any) -> Any:
    """−ln(−ln u) of that shape: noise of the standard Gumbel distribution."""
    u = np.maximum(rng.random(shape), 1e-300)  # it may be 0, but not 1
    return (-np.log(-np.log(u))).astype(dtype)


def gumbel_max(logits: Any, rng: Any) -> Any:
    """A category for each row of logits (…, K), with the probabilities softmax(logits)."""
    return np.argmax(logits + gumbel(logits.shape, rng, logits.dtype), axis=-1)


def gumbel_softmax(logits: Any, rng: Any, temperature: float) -> Any:
    """The same relaxed: vectors (…, K) of positive numbers that sum to 1.

    Differentiable. The largest number is where :func:`gumbel_max` finds it with the same noise.
    """
    return softmax(tempered(logits + gumbel(logits.shape, rng, logits.dtype), temperature))


def straight_through(logits: Any, rng: Any, temperature: float) -> Any:
    """One-hot vectors (…, K) with the gradient of :func:`gumbel_softmax`."""
    y = gumbel_softmax(logits, rng, temperature)
    return one_hot(np.argmax(constant(y), axis=-1), y.shape[-1], y.dtype) + _gradient_only(y)


# ------------------------------------------------------------------------- parts of a gradient


def _gradient_only(x: Any) -> Any:
    """0, with the gradient of x."""
    return x - constant(x)

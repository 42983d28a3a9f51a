"""Losses on logits: cross-entropies, each fused with the function that makes probabilities.

On logits rather than probabilities they are exact where a probability is 0 or 1 to working
precision, and their gradient is the plain difference of probability and target.
"""

from __future__ import annotations

from typing import Any

import numpy

from autograd.backend import xp
from autograd.backend.maxima import at_least
from autograd.backend.threads import in_parts
from autograd.backend.whole import whole
from autograd.core import Tensor, defvjp, is_recording, primitive
from autograd.nn.activations import exponentials, sigmoid, softmax
from autograd.nn.embedding import check_labels, one_hot, sample_labels
from autograd.numpy.elementwise import negative
from autograd.table import Call, Draw, call, composite

# --------------------------------------------------------------------------------- many classes

_COST = 8  # a number here takes as long as so many of those that in_parts counts


def _labelled(d: Draw) -> Call:
    shape, classes = d.shape(min_ndim=1), d.integer(1, 4)
    return call(d.array((*shape, classes)), sample_labels(d, shape, classes))


_TWO_OF_THREE = numpy.zeros((2, 3))


@composite(
    r"L_n = \log \sum_k e^{x_{nk}} - x_{n t_n}",
    _labelled,
    [
        call(_TWO_OF_THREE, numpy.zeros(3, int)),  # one label too many
        call(_TWO_OF_THREE, numpy.zeros(2)),  # labels that are no integers
        call(_TWO_OF_THREE, _TWO_OF_THREE),  # probabilities in place of labels
        call(numpy.zeros((2, 0)), numpy.zeros(2, int)),  # no classes
    ],
)
def softmax_cross_entropy(logits, labels):
    """−log p of each label, in nats: log Σₖ exp(logitsₖ) − logits_label.

    Arguments: ``logits`` (..., classes); ``labels`` (...), integers from 0 to classes − 1.
    Returns: (...), one loss for each label; take the mean or the sum yourself.

    Kept for the gradient, softmax(logits) − one_hot(labels), are the exponentials of the logits
    (one array of their size) and not the logits.

    Raises TypeError for labels that are not integers, ValueError for labels of another shape or
    (on NumPy; elsewhere the check would wait for the device) outside of the range.
    """
    check_labels("softmax_cross_entropy", labels, xp.shape(_value(logits)))
    return _cross_entropy(logits, labels, [])


def _value(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


@primitive
def _cross_entropy(logits, labels, kept):
    """The losses; ``kept``, an empty list, receives what the rule reads."""
    shape, labels = labels.shape, labels.reshape(-1)
    x = xp.ascontiguousarray(logits).reshape(len(labels), logits.shape[-1])
    e, total = xp.empty_like(x), xp.empty(len(x), x.dtype)
    losses = xp.empty_like(total)

    def work(start: int, stop: int) -> None:
        rows = slice(start, stop)
        _, sums, shift = exponentials(x[rows], out=e[rows])
        total[rows] = sums[:, 0]
        at = xp.arange(len(sums)), labels[rows]
        if shift is None:
            losses[rows] = xp.log(total[rows] / e[rows][at])
        else:
            losses[rows] = xp.log(total[rows]) + (shift[:, 0] - x[rows][at])  # as e may be 0

    in_parts(work, len(x), _COST * x.size)
    kept += [e, total]
    return losses.reshape(shape)


def _cross_entropy_rule(_, logits, labels, kept):
    """x̄ = L̄ (softmax(x) − one_hot(t))"""
    shape, dtype, node = logits.shape, logits.dtype, logits.node
    e, total = kept

    def vjp(g):
        if is_recording():
            p = (e / total[:, None]).reshape(shape)
            p = _known_softmax(Tensor(None, node), p)
            return g[..., None] * (p - one_hot(labels, shape[-1], dtype))
        return _less_one_at(labels, e, total, g).reshape(shape)

    return vjp


@whole
def _less_one_at(labels: Any, e: Any, total: Any, g: Any) -> Any:
    """L̄ (e / Σ e − one_hot(t)), (rows, classes)."""
    labels, each = labels.reshape(-1), xp.ascontiguousarray(g).reshape(-1)
    x, scale = xp.empty_like(e), (each / total)[:, None]

    def work(start: int, stop: int) -> None:
        rows, part = slice(start, stop), x[start:stop]
        xp.multiply(e[rows], scale[rows], out=part)
        part[xp.arange(len(part)), labels[rows]] -= each[rows]

    in_parts(work, len(x), _COST * x.size)
    return x


defvjp(_cross_entropy, _cross_entropy_rule, None, None)


@primitive
def _known_softmax(logits, p):
    """softmax(logits) = p, where only p and the logits' place in the graph are known."""
    return p


defvjp(_known_softmax, lambda y, logits, p: softmax.rules.makers[0](y, logits), None)  # type: ignore[attr-defined]


# ---------------------------------------------------------------------------------- two classes

_BINARY_COST = 16  # likewise


def _with_targets(d: Draw) -> Call:
    shape = d.shape()
    return call(d.distinct(shape), d.array(d.choice([shape, shape[1:]]), 0.0, 1.0))


@composite(
    r"L = \log(1 + e^x) - t x",
    _with_targets,
    [call(numpy.zeros((3, 1)), numpy.zeros(3)), call(numpy.zeros(3), numpy.zeros(4))],
)
def sigmoid_cross_entropy(logits, targets):
    """−t log σ(x) − (1 − t) log(1 − σ(x)) of each element, in nats, finite for every finite x.

    It is max(x, 0) − x t + log(1 + e^−|x|). Targets are probabilities from 0 to 1, or booleans or
    integers 0 and 1; they may lack leading axes, over which they are then repeated. Raises
    ValueError if they do not broadcast to the logits' shape: (n,) targets for (n, 1) logits would
    else make n² losses.

    Where there will be a gradient, x̄ = L̄ (σ(x) − t), its slopes are computed along with the
    losses: both need the exponentials.
    """
    if numpy.broadcast_shapes(logits.shape, targets.shape) != logits.shape:
        raise ValueError(
            f"sigmoid_cross_entropy: targets {tuple(targets.shape)} do not fit logits "
            f"{tuple(logits.shape)}"
        )
    return _binary_cross_entropy(logits, targets, _wanted(logits))


def _wanted(x: Any) -> list[Any] | None:
    """Where to leave what the rule for x reads, if there will be a gradient."""
    return [] if isinstance(x, Tensor) and is_recording() else None


@primitive
def _binary_cross_entropy(logits, targets, kept):
    """The losses; ``kept``, an empty list or None, receives the slopes."""
    x, targets = _rows(logits), _rows(xp.broadcast_to(targets, logits.shape))
    losses = xp.empty(x.shape, xp.result_type(x, targets) if targets.dtype.kind == "f" else x.dtype)
    slopes = None if kept is None else xp.empty(x.shape, x.dtype)

    def work(start: int, stop: int) -> None:
        rows = slice(start, stop)
        part, t = x[rows], targets[rows].astype(losses.dtype)
        e, scratch = losses[rows], xp.empty_like(t)  # few arrays, which stay in the cache
        xp.abs(part, out=e)
        xp.negative(e, out=e)
        xp.exp(e, out=e)
        if slopes is not None:
            p = slopes[rows]
            p[...] = part > 0
            xp.maximum(p, e, out=p)  # σ(x) = 1 / (1 + e^−|x|) for x > 0, else e^−|x| times that
            p /= xp.add(e, 1, out=scratch)
            p -= t
        xp.log1p(e, out=e)  # the small one: it may be all
        larger = at_least(0, part, out=scratch)
        larger -= xp.multiply(part, t, out=t)
        e += larger

    in_parts(work, len(x), _BINARY_COST * x.size)
    if kept is not None:
        kept.append(slopes.reshape(logits.shape))
    return losses.reshape(logits.shape)


def _by_logits(_, logits, targets, kept):
    """x̄ = L̄ (σ(x) − t)"""
    (slopes,) = kept

    def vjp(g):
        return g * (sigmoid(logits) - targets if is_recording() else slopes)

    return vjp


def _rows(x: Any) -> Any:
    """(..., D) as it is, and a number as (1,): what can be cut along its first axis."""
    return x if x.ndim else x.reshape(1)


defvjp(
    _binary_cross_entropy,
    _by_logits,
    lambda _, logits, targets, kept: lambda g: negative(g * logits),
)

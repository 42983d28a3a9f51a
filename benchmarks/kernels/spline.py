"""A rational-quadratic spline of each number, as a coupling layer of a spline flow has it."""

from __future__ import annotations

import math
from typing import Any

import numpy

from benchmarks.kernels.kernel import Case, Input, Kernel, Run
from scratchgen.transforms.spline import RationalQuadraticSpline

SPLINE = RationalQuadraticSpline()


def _case(batch: int, width: int) -> Case:
    """y and ln dy/dx of each x, by the equations of :mod:`scratchgen.transforms.spline`.

    Of K bins, the widths and the heights are K exponentials, sums, quotients by these, products and
    sums that leave the least each; K − 1 sums make places, and K − 1 products and differences take
    them to [−B, B]. x is compared with K − 1 of them, and with B: 17 K − 6 in all. The slopes of
    two knots take 5 operations each, w, h, ξ and s 5, y and q 16 (of which ξ², 1 − ξ, (1 − ξ)² and
    ξ (1 − ξ) are four) and the logarithm of the slope 11.

    Backward, each operation with two inputs is two products: twice as many are counted in all.
    """

    def inputs(rng: numpy.random.Generator) -> list[Input]:
        x = rng.normal(size=(batch, width), scale=1.5)  # a few of them lie outside
        return [Input(x), Input(rng.normal(size=(batch, width, SPLINE.numbers)))]

    forward = batch * width * (17 * SPLINE.bins + 36)
    name = f"spline, {SPLINE.bins} bins, {batch}x{width}"
    return Case(name, inputs, _ours, _in_torch, (forward, 2 * forward))


def _ours(x: Any, parameters: Any) -> Run:
    return lambda: SPLINE.forward(x, parameters)


def _in_torch(torch: Any, x: Any, parameters: Any) -> Run:
    """With the bin's knots gathered by number, as a search among the knots finds it."""
    F, K, B, least = torch.nn.functional, SPLINE.bins, SPLINE.bound, SPLINE.least
    at_0 = math.log(math.expm1(1 - least))  # makes the slope 1 where the parameter is 0
    end = torch.full((*x.shape, 1), B, dtype=x.dtype, device=x.device)
    one = torch.ones_like(end)

    def knots(logits: Any) -> Any:
        parts = least + (1 - K * least) * torch.softmax(logits, -1)
        inner = 2 * B * torch.cumsum(parts, -1)[..., :-1] - B
        return torch.cat([-end, inner, end], -1)

    def run() -> Any:
        inside = x.abs() <= B
        place = torch.where(inside, x, 0.0)
        xs, ys = knots(parameters[..., :K]), knots(parameters[..., K : 2 * K])
        slopes = least + F.softplus(parameters[..., 2 * K :] + at_0)
        slopes = torch.cat([one, slopes, one], -1)
        inner = xs[..., 1:-1].detach().contiguous()
        k = torch.searchsorted(inner, place[..., None].detach(), right=True)
        x0, y0, d0 = (a.gather(-1, k)[..., 0] for a in (xs, ys, slopes))
        x1, y1, d1 = (a.gather(-1, k + 1)[..., 0] for a in (xs, ys, slopes))
        xi = (place - x0) / (x1 - x0)
        h, rest = y1 - y0, 1 - xi
        s = h / (x1 - x0)
        q = s * (xi * xi + rest * rest) + (d0 + d1) * (xi * rest)
        y = y0 + h * xi * (s * xi + d0 * rest) / q
        slope = d1 * (xi * xi) + 2 * s * (xi * rest) + d0 * (rest * rest)
        log_slope = torch.log(slope) + 2 * torch.log(s / q)
        return torch.where(inside, y, x), torch.where(inside, log_slope, 0.0)

    return run


KERNEL = Kernel("spline", _case(1, 1), (_case(16, 2), _case(256, 2), _case(4096, 8)))

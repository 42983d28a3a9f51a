"""Derivatives of functions: ``grad(f)`` is a function too, and can be differentiated again.

The names and signatures are those of HIPS/autograd. Every function here takes ``argnum``, the
position of the argument to differentiate by (or, for :func:`grad` and :func:`value_and_grad`, a
tuple of positions). That argument may be an array, a number, or a dict, list or tuple that holds
such; the derivative then has the same structure.

The result is a plain array if nothing outside wants its gradient, and a Tensor if something does:
an enclosing ``grad``, or a Tensor that ``f`` uses besides its arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from autograd import core
from autograd import numpy as np
from autograd.backend import is_array, xp
from autograd.core import LeafNode, Node, Tensor, backward_pass, defvjp, primitive, recording
from autograd.structures import flatten

# ------------------------------------------------------------------------------------ variables


@primitive
def _identity(x):
    return x


defvjp(_identity, lambda _, x: lambda g: g)


def _variable(x: Any) -> Tensor:
    """A new variable of value ``x``. If ``x`` is a Tensor, the variable depends on it."""
    if isinstance(x, Tensor):
        return _identity(x)
    if isinstance(x, bool | int):
        raise TypeError(f"a gradient needs a floating-point argument, got the integer {x!r}")
    return Tensor(x)


def _value(x: Any) -> Any:
    return x.data if isinstance(x, Tensor) else x


class _Trace:
    """One run of a function on fresh variables, and the way back from its output to them."""

    def __init__(self, function: Callable, x: Any) -> None:
        leaves, self.rebuild = flatten(x)
        with recording(True):
            self.variables = [_variable(leaf) for leaf in leaves]
            output = function(self.rebuild(self.variables))
        self.outputs, self.rebuild_output = flatten(output)
        for variable in self.variables:
            if type(variable.node) is LeafNode:
                variable.node.tensor = None  # the function has returned: nobody else asks for it
        nodes = [y.node for y in self.outputs if isinstance(y, Tensor)]
        self.depends_on_others = any(
            type(node) is LeafNode and node.tensor is not None for node in core.ancestors(nodes)
        )

    def create_graph(self) -> bool:
        return self.depends_on_others and core.is_recording()

    def output(self) -> Any:
        """The function's value; plain arrays if nothing outside wants gradients."""
        if self.create_graph():
            return self.rebuild_output(self.outputs)
        return self.rebuild_output([_value(y) for y in self.outputs])

    def pull_back(self, gradients: list[Any], retain_graph: bool = False) -> Any:
        """From gradients with respect to the outputs to those with respect to the variables."""
        seeds = []
        for y, g in zip(self.outputs, gradients, strict=True):
            if not isinstance(y, Tensor):
                continue
            if xp.shape(_value(g)) != y.shape:
                raise ValueError(
                    f"the gradient has shape {xp.shape(_value(g))}, the output {y.shape}"
                )
            seeds.append((y.node, g if isinstance(g, Tensor) or is_array(g) else xp.asarray(g)))
        create_graph = core.is_recording() and (
            self.depends_on_others or any(isinstance(g, Tensor) for g in gradients)
        )
        targets = [variable.node for variable in self.variables]
        found: dict[Node, Any] = dict(
            backward_pass(
                seeds,
                targets,
                create_graph=create_graph,
                retain_graph=retain_graph or create_graph,
            )
        )
        return self.rebuild(
            [found[x.node] if x.node in found else xp.zeros_like(x.data) for x in self.variables]
        )

    def scalar(self, name: str) -> Any:
        """The single output, which must be one number. A gradient of ones for it."""
        if len(self.outputs) != 1:
            raise TypeError(f"{name}: the function must return one array, not {len(self.outputs)}")
        y = self.outputs[0]
        if xp.size(_value(y)) != 1:
            raise TypeError(
                f"{name}: the function must return a scalar, but its result has shape {y.shape}; "
                "sum it, or use jacobian or elementwise_grad"
            )
        if xp.result_type(_value(y)).kind != "f":
            raise TypeError(
                f"{name}: the function must return a floating-point number, not {y.dtype}, "
                "which is constant almost everywhere"
            )
        return xp.ones_like(_value(y))


def _of_one_argument(function: Callable, argnum: Any, args: tuple, kwargs: dict) -> tuple:
    """``function`` as one of its argument(s) ``argnum``, and their value."""
    positions = argnum if isinstance(argnum, tuple | list) else (argnum,)
    if any(not -len(args) <= position < len(args) for position in positions):
        raise TypeError(f"there is no positional argument {argnum} among the {len(args)} given")

    def of_one(x: Any) -> Any:
        new = list(args)
        for position, value in zip(positions, x if positions is argnum else (x,), strict=True):
            new[position] = value
        return function(*new, **kwargs)

    if positions is argnum:
        return of_one, tuple(args[position] for position in positions)
    return of_one, args[argnum]


def _transform(operator: Callable) -> Callable:
    """Turn ``operator(f_of_one_argument, x)`` into ``operator(f, argnum=0)(*args, **kwargs)``."""

    @functools.wraps(operator)
    def make(fun: Callable, argnum: Any = 0) -> Callable:
        def derivative(*args: Any, **kwargs: Any) -> Any:
            return operator(*_of_one_argument(fun, argnum, args, kwargs))

        name = getattr(fun, "__name__", "function")
        derivative.__name__ = f"{operator.__name__}_{name}"
        derivative.__doc__ = f"{operator.__name__} of {name} with respect to argument {argnum}"
        return derivative

    return make


# ----------------------------------------------------------------------------------- first order


@_transform
def grad(fun: Callable, x: Any) -> Any:
    """∇f: the gradient of a function whose value is a scalar."""
    trace = _Trace(fun, x)
    return trace.pull_back([trace.scalar("grad")])


@_transform
def value_and_grad(fun: Callable, x: Any) -> Any:
    """(f, ∇f), from one forward and one backward pass."""
    trace = _Trace(fun, x)
    one = trace.scalar("value_and_grad")
    return trace.output(), trace.pull_back([one])


@_transform
def grad_and_aux(fun: Callable, x: Any) -> Any:
    """(∇f, a) for a function that returns (f, a), where a is not differentiated."""
    aux = []

    def first(x: Any) -> Any:
        y, extra = fun(x)
        aux.append(extra)
        return y

    trace = _Trace(first, x)
    leaves, rebuild = flatten(aux[0])
    return trace.pull_back([trace.scalar("grad_and_aux")]), rebuild([_value(x) for x in leaves])


@_transform
def elementwise_grad(fun: Callable, x: Any) -> Any:
    """f′ of a function that acts on each element alone: the column sums of its Jacobian."""
    trace = _Trace(fun, x)
    return trace.pull_back([xp.ones_like(_value(y)) for y in trace.outputs])


egrad = elementwise_grad


@_transform
def make_vjp(fun: Callable, x: Any) -> Any:
    """(u ↦ uᵀ ∂f/∂x, f(x)): reverse mode. The map can be applied any number of times."""
    trace = _Trace(fun, x)

    def vjp(u: Any) -> Any:
        return trace.pull_back(flatten(u)[0], retain_graph=True)

    return vjp, trace.output()


@_transform
def make_jvp(fun: Callable, x: Any) -> Any:
    """v ↦ (f(x), ∂f/∂x v): forward mode, by transposing twice.

    u ↦ uᵀJ is linear in u, so its own vjp is v ↦ Jv, wherever u stands.
    """
    trace = _Trace(fun, x)
    us = [Tensor(xp.zeros_like(_value(y))) for y in trace.outputs]
    pulled, _ = flatten(trace.pull_back(us, retain_graph=True))

    def jvp(v: Any) -> Any:
        vs, _ = flatten(v)
        pairs = [(p, v) for p, v in zip(pulled, vs, strict=True) if isinstance(p, Tensor)]
        found = dict(
            backward_pass(
                [
                    (
                        p.node,
                        xp.broadcast_to(xp.asarray(v, p.dtype), p.shape)
                        if not isinstance(v, Tensor)
                        else v,
                    )
                    for p, v in pairs
                ],
                [u.node for u in us],
                create_graph=trace.create_graph() or any(isinstance(v, Tensor) for v in vs),
                retain_graph=True,
            )
        )
        tangents = [found[u.node] if u.node in found else xp.zeros_like(u.data) for u in us]
        return trace.output(), trace.rebuild_output(tangents)

    return jvp


make_jvp_reversemode = make_jvp


@_transform
def jacobian(fun: Callable, x: Any) -> Any:
    """∂f/∂x, of shape (shape of f, shape of x), one row (one backward pass) at a time."""
    trace = _Trace(fun, x)
    if len(trace.outputs) != 1 or len(trace.variables) != 1:
        raise TypeError("jacobian: the function must take one array and return one array")
    y, variable = trace.outputs[0], trace.variables[0]
    shape = (*xp.shape(_value(y)), *variable.shape)
    if not isinstance(y, Tensor) or y.size == 0:
        return xp.zeros(shape, variable.dtype)
    basis = xp.eye(y.size, dtype=y.dtype)
    rows = [trace.pull_back([basis[i].reshape(y.shape)], retain_graph=True) for i in range(y.size)]
    return np.reshape(np.stack(rows), shape)


# ---------------------------------------------------------------------------------- second order


@_transform
def hessian(fun: Callable, x: Any) -> Any:
    """∂²f/∂x∂x: the Jacobian of the Jacobian."""
    return jacobian(jacobian(fun))(x)


def hessian_tensor_product(fun: Callable, argnum: int = 0) -> Callable:
    """(*args, v) ↦ ∂²f/∂x∂x · v, without the Hessian: the gradient of ⟨∇f, v⟩."""

    def product(*args: Any, **kwargs: Any) -> Any:
        *rest, v = args
        of_one, x = _of_one_argument(fun, argnum, tuple(rest), kwargs)
        return grad(lambda x: np.sum(grad(of_one)(x) * v))(x)

    return product


hessian_vector_product = hessian_tensor_product


@_transform
def make_hvp(fun: Callable, x: Any) -> Any:
    """(v ↦ ∂²f/∂x∂x · v, ∇f(x))."""
    return make_vjp(grad(fun))(x)


def tensor_jacobian_product(fun: Callable, argnum: int = 0) -> Callable:
    """(*args, u) ↦ uᵀ ∂f/∂x."""

    def product(*args: Any, **kwargs: Any) -> Any:
        *rest, u = args
        of_one, x = _of_one_argument(fun, argnum, tuple(rest), kwargs)
        return jacobian(lambda x: np.tensordot(u, of_one(x), np.ndim(u)))(x)

    return product


vector_jacobian_product = tensor_jacobian_product


def grad_named(fun: Callable, argname: str) -> Callable:
    """∇f with respect to the positional argument of that name."""
    return grad(fun, fun.__code__.co_varnames.index(argname))


# ------------------------------------------------------------------------------------ checkpoint


def checkpoint(fun: Callable) -> Callable:
    """``fun``, but its intermediate values are computed again when gradients are wanted.

    Of the forward pass only the arguments are kept, so a chain of n such pieces needs the memory
    of one piece and of n boundaries, for one more forward pass. Tensors that ``fun`` uses without
    being given them (a model's parameters) get their gradients as well. ``fun`` must compute the
    same again when it is called again: give it a generator's seed, not a generator.
    """

    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        if not core.is_recording():
            return fun(*args, **kwargs)
        leaves, rebuild = flatten((args, kwargs))
        own = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        given = [leaves[i] for i in own]

        def run(tensors: list[Tensor]) -> Any:
            new = list(leaves)
            for i, tensor in zip(own, tensors, strict=True):
                new[i] = tensor
            args, kwargs = rebuild(new)
            return fun(*args, **kwargs)

        return _recomputed(run, given)

    return call


def _recomputed(run: Callable, given: list[Tensor]) -> Any:
    """``run(given)`` as one operation, whose rule runs it again."""
    start = core.next_number()
    variables = [Tensor(x.data) for x in given]
    results, rebuild = flatten(run(variables))
    places = [i for i, y in enumerate(results) if isinstance(y, Tensor)]
    if not places:
        return rebuild(results)
    captured = _older_than(start, [results[i].node for i in places])
    values = tuple(results[i].data for i in places)

    def checkpointed(*inputs: Any) -> Any:
        return values

    def rule(argnums: list[int], ans: Any, args: tuple, kwargs: dict) -> Callable:
        def vjp(gs: tuple) -> list[Any]:
            create_graph = core.is_recording()
            with recording(True):
                inner = [_identity(x) if create_graph else Tensor(x.data) for x in given]
                again, _ = flatten(run(inner))
            seeds = [(again[i].node, g) for i, g in zip(places, gs, strict=True)]
            targets = [x.node for x in inner] + captured
            found = dict(
                backward_pass(seeds, targets, create_graph=create_graph, retain_graph=create_graph)
            )
            return [
                found[node] if node in found else xp.zeros(node.shape, node.dtype)
                for node in targets
            ]

        return vjp

    operation = primitive(checkpointed)
    core.defvjp_argnums(operation, rule)
    stand_ins = [Tensor(None, node) for node in captured]  # only where gradients go to matters
    for i, y in zip(places, operation(*given, *stand_ins), strict=True):
        results[i] = y
    return rebuild(results)


def _older_than(start: int, nodes: list[Node]) -> list[Node]:
    """The nodes made before number ``start`` that a graph made since then reaches first."""
    found, stack, seen = [], list(nodes), set(nodes)
    while stack:
        node = stack.pop()
        if node.number < start:
            found.append(node)
            continue
        new = [parent for parent in node.parents if parent not in seen]
        seen.update(new)
        stack.extend(new)
    return found

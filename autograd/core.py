"""Reverse-mode automatic differentiation: Tensor, primitive, gradient rules, backward pass.

A program calls *primitives*. Given plain arrays a primitive just computes. Given a
:class:`Tensor` it computes the same and writes down a :class:`Node`: which nodes its inputs came
from, and for each of them a function that takes the gradient with respect to the output to the
gradient with respect to that input, the *vector-Jacobian product* (vjp)

    x̄ = ȳ · ∂y/∂x        where  x̄ = ∂L/∂x, ȳ = ∂L/∂y, and L is the scalar at the end.

The backward pass walks the nodes from the newest to the oldest and adds up what arrives at each.

Four decisions shape this file:

* Rules are written in the same primitives (``g * (1 - y * y)``). On plain arrays they just
  compute; on Tensors they are recorded in turn, and that is how second derivatives come about.
* A node does not hold its output's value. What a rule reads, it has captured in its closure, and
  nothing else stays alive. A rule that reads its own output sees it through a weak link
  (:class:`_Output`), as output → node → rule → output would be a reference cycle.
* Nodes are numbered as they are made, so sorting by number is a topological order, and no
  recursion is needed however deep the graph.
* What every rule would have to repeat is done here once: summing over broadcast dimensions,
  casting, leaving out inputs that need no gradient, adding up.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import operator
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from autograd import changes
from autograd.backend import Array, asarray, is_array, xp
from autograd.backend.sums import sum_over
from autograd.backend.whole import whole
from autograd.changes import next_number
from autograd.errors import named
from autograd.structures import like

Vjp = Callable[[Any], Any]
VjpMaker = Callable[..., Vjp]

_recording = True
hooks: list[Hook] = []


class Hook(Protocol):
    """What an observer of the engine may do: see :func:`autograd.extend.hook`."""

    def forward(self, name: str, args: tuple, run: Callable[[], Any]) -> Any:
        """Called for every primitive; returns ``run()``."""

    def recorded(self, node: Node) -> None:
        """Called for every node once its rules are in place."""

    def backward(self, node: Node, gradient: Any, run: Callable[[], Any]) -> Any:
        """Called for every node of a backward pass; returns ``run()``: its inputs' gradients."""


# ------------------------------------------------------------------------------------ the graph


class Node:
    """One recorded operation: where its inputs came from and how gradients flow to them."""

    __slots__ = ("__weakref__", "dtype", "name", "note", "number", "parents", "shape", "vjps")

    name: str
    number: float  # an integer, but for ItemNode
    parents: list[Node]
    vjps: list[Vjp] | Vjp | None  # one for each parent, or one for all; None once freed
    shape: tuple  # of the result; the shapes, if there are several
    dtype: Any
    note: Any  # for hooks

    def __repr__(self) -> str:
        return f"<{self.name} #{self.number} {self.shape} {self.dtype}>"


class LeafNode(Node):
    """A variable: where gradients arrive."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.name = "leaf"
        self.number = next_number()
        self.parents = []
        self.vjps = []
        self.shape = tensor.data.shape
        self.dtype = tensor.data.dtype
        self.tensor: Any = weakref.ref(tensor)  # None: a variable that nobody can ask for any more


class ItemNode(Node):
    """One result of an operation that has several."""

    __slots__ = ("index",)

    def __init__(self, parent: Node, index: int) -> None:
        self.name = f"{parent.name}[{index}]"
        self.number = parent.number + 0.5  # before all that uses it, whenever it is asked for
        self.parents = [parent]
        self.vjps = []
        self.shape = parent.shape[index]
        self.dtype = parent.dtype[index]
        self.index = index


class Tensor:
    """An array whose gradient is wanted, or which depends on one.

    ``Tensor(data)`` makes a leaf: a variable of the current backend, float16, float32 or float64.
    After ``y.backward()``, ``x.grad`` holds ∂y/∂x for every leaf x that y depends on. Everything
    else about it (arithmetic, indexing, methods) is NumPy's, by :mod:`autograd.numpy`.
    """

    __slots__ = ("__weakref__", "data", "grad", "home", "node")
    __array_ufunc__ = None  # NumPy leaves ``array * tensor`` to Tensor.__rmul__,
    __array_priority__ = 1000  # and CuPy does so for this

    data: Array
    node: Node
    grad: Any
    home: Array | None
    """Of a leaf: memory in which the next gradient is put. An optimiser wants all in one place."""

    def __init__(self, data: Any, node: Node | None = None) -> None:
        self.grad = None
        if node:  # the result of an operation
            self.data = data
            self.node = node
            return
        self.home = None
        if isinstance(data, Tensor):
            raise TypeError("Tensor: the data are a Tensor already; use .detach() to start anew")
        self.data = asarray(data)
        if self.data.dtype.kind != "f":
            raise TypeError(
                f"Tensor: a gradient needs floating-point data, not {self.data.dtype}; "
                "convert with .astype(float), or leave the array plain"
            )
        self.node = LeafNode(self)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def _value(self) -> Array:  # HIPS/autograd's name
        return self.data

    def detach(self) -> Array:
        """The value as a plain array, sharing memory, with no history."""
        return self.data

    def item(self) -> float:
        """The value of a one-element Tensor as a Python number. On a GPU this waits for it."""
        return self.data.item()

    def backward(
        self, gradient: Any = None, *, create_graph: bool = False, retain_graph: bool | None = None
    ) -> None:
        """Add ∂self/∂x to ``x.grad`` for every leaf x that self depends on.

        ``gradient``: ∂L/∂self, for a self that is not a scalar.
        ``create_graph``: record the backward pass too, so that gradients can be differentiated.
        ``retain_graph``: keep what a further backward pass needs; as ``create_graph`` by default.
        """
        if gradient is None:
            if self.data.size != 1:
                raise ValueError(
                    f"backward: a Tensor of shape {self.shape} is not a scalar; "
                    "pass the gradient with respect to it, or sum it first"
                )
            gradient = xp.ones_like(self.data)
        elif gradient.shape != self.shape:
            raise ValueError(
                f"backward: the gradient has shape {gradient.shape}, the Tensor {self.shape}"
            )
        retain = create_graph if retain_graph is None else retain_graph
        seeds = [(self.node, gradient)]
        for node, g in backward_pass(seeds, create_graph=create_graph, retain_graph=retain):
            leaf = node.tensor and node.tensor()  # type: ignore[attr-defined]
            if leaf is not None:
                give_gradient(leaf, g)

    def __setitem__(self, index: Any, value: Any) -> None:
        """Change a leaf's values in place, outside the graph (as an optimiser does)."""
        if not isinstance(self.node, LeafNode):
            raise TypeError(
                f"in-place assignment to the result of {self.node.name!r}: its history would no "
                "longer tell its value; use where() or concatenate() to make a new Tensor"
            )
        if isinstance(value, Tensor):
            raise TypeError("in-place assignment of a Tensor would lose its gradient; detach() it")
        _set_item(self.data, index, value)
        changes.note(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __int__(self) -> int:
        return int(self.data)

    def __repr__(self) -> str:
        return f"Tensor({self.data!r})"

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "a Tensor meets a function of NumPy itself, which would lose its gradient; "
            "use the one in autograd.numpy, or .detach()"
        )

    __hash__ = object.__hash__  # comparisons act on values, but Tensors are still dictionary keys

    if TYPE_CHECKING:  # the operators and methods that autograd.numpy adds

        def __add__(self, other: Any) -> Any: ...
        def __radd__(self, other: Any) -> Any: ...
        def __sub__(self, other: Any) -> Any: ...
        def __rsub__(self, other: Any) -> Any: ...
        def __mul__(self, other: Any) -> Any: ...
        def __rmul__(self, other: Any) -> Any: ...
        def __truediv__(self, other: Any) -> Any: ...
        def __rtruediv__(self, other: Any) -> Any: ...
        def __pow__(self, other: Any) -> Any: ...
        def __rpow__(self, other: Any) -> Any: ...
        def __matmul__(self, other: Any) -> Any: ...
        def __rmatmul__(self, other: Any) -> Any: ...
        def __neg__(self) -> Any: ...
        def __lt__(self, other: Any) -> Any: ...
        def __gt__(self, other: Any) -> Any: ...
        def __le__(self, other: Any) -> Any: ...
        def __ge__(self, other: Any) -> Any: ...
        def __getitem__(self, index: Any) -> Any: ...
        def __iter__(self) -> Iterator[Any]: ...
        def __getattr__(self, name: str) -> Any: ...


_set_item = whole(operator.setitem)


class _Output(Tensor):
    """An operation's result as its own rule sees it: linked to its node weakly."""

    __slots__ = ("_node",)

    def __init__(self, data: Array, node: Node) -> None:
        self.data = data
        self._node = weakref.ref(node)

    @property
    def node(self) -> Node:  # type: ignore[override]
        return self._node()  # type: ignore[return-value]  # the rule runs, so the node lives


class _OutputItem(_Output):
    """One of several results, likewise."""

    __slots__ = ("_index",)

    def __init__(self, data: Array, node: Node, index: int) -> None:
        super().__init__(data, node)
        self._index = index

    @property
    def node(self) -> Node:  # type: ignore[override]
        return ItemNode(super().node, self._index)


# ----------------------------------------------------------------------------------- primitives


class Rules:
    """The gradient rules of one primitive."""

    def __init__(self) -> None:
        self.makers: dict[int, VjpMaker] = {}
        self.constants: set[int] = set()  # arguments by which is not differentiated
        self.for_all: Callable[..., Vjp] | None = None  # one rule for all inputs at once
        self.reads_output = True


def primitive(function: Callable) -> Callable:
    """Make ``function`` of arrays one that accepts Tensors; :func:`defvjp` gives its gradient.

    The function must not change its arguments. It may return an array or a tuple of arrays.
    """
    rules = Rules()
    name = function.__name__

    def call(*args: Any, **kwargs: Any) -> Any:
        if rules.constants:
            args = tuple([constant(a) if i in rules.constants else a for i, a in enumerate(args)])
        values: Any = args
        tracked: list[int] = []
        for i, arg in enumerate(args):
            if isinstance(arg, Tensor):
                if not tracked:
                    values = list(args)
                values[i] = arg.data
                tracked.append(i)
        if kwargs and any(isinstance(value, Tensor) for value in kwargs.values()):
            return call(*_by_position(function, args, kwargs))
        try:
            if hooks:
                run = functools.partial(function, *values, **kwargs)
                ans = _observed("forward", name, tuple(values), run)
            else:
                ans = function(*values, **kwargs)
        except Exception as error:
            raise named(error, name, args) from error
        if not tracked or not _recording:
            return ans
        return _record(name, rules, ans, args, kwargs, tracked)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = function.__doc__
    call.__module__ = function.__module__
    call.__wrapped__ = function  # type: ignore[attr-defined]
    call.rules = rules  # type: ignore[attr-defined]
    return call


def _record(
    name: str, rules: Rules, ans: Any, args: tuple, kwargs: dict, tracked: list[int]
) -> Any:
    """Write down an operation and return its result as a Tensor (or a tuple of them)."""
    node = Node()
    node.name = name
    node.number = next_number()
    if isinstance(ans, tuple):
        return _record_several(node, rules, ans, args, kwargs, tracked)
    try:
        node.shape = ans.shape
    except AttributeError:  # a function of one's own may return a Python number
        ans = asarray(ans)
        node.shape = ans.shape
    node.dtype = dtype = ans.dtype
    if dtype.kind != "f":
        _refuse_complex(name, dtype)
        return ans  # an index, a truth value: constant almost everywhere
    output = _Output(ans, node) if rules.reads_output else ans
    _attach_rules(node, rules, output, args, kwargs, tracked)
    return Tensor(ans, node)


def _record_several(
    node: Node, rules: Rules, ans: tuple, args: tuple, kwargs: dict, tracked: list[int]
) -> tuple:
    """The same for an operation that returns a tuple."""
    node.shape = tuple(item.shape for item in ans)
    node.dtype = tuple(item.dtype for item in ans)
    for dtype in node.dtype:
        _refuse_complex(node.name, dtype)
    output = like(ans, (_OutputItem(item, node, i) for i, item in enumerate(ans)))
    _attach_rules(node, rules, output, args, kwargs, tracked)
    return like(ans, (Tensor(item, ItemNode(node, i)) for i, item in enumerate(ans)))


def _attach_rules(
    node: Node, rules: Rules, output: Any, args: tuple, kwargs: dict, tracked: list[int]
) -> None:
    """Give ``node`` its parents, and the functions that take its gradient to theirs."""
    node.parents = parents = []
    if rules.for_all is not None:
        parents += [args[i].node for i in tracked]
        node.vjps = rules.for_all(tracked, output, args, kwargs)
    else:
        node.vjps = vjps = []
        makers = rules.makers
        for i in tracked:
            try:
                maker = makers[i]
            except KeyError:
                raise NotImplementedError(
                    f"{node.name}: no gradient is defined with respect to argument {i}; "
                    "detach() that Tensor if it counts as a constant"
                ) from None
            parents.append(args[i].node)
            vjps.append(maker(output, *args, **kwargs))
    for observer in hooks:
        observer.recorded(node)


def _refuse_complex(name: str, dtype: Any) -> None:
    if dtype.kind == "c":
        raise TypeError(f"{name}: the result is {dtype}, and gradients are of real numbers only")


def constant(x: Any) -> Any:
    """The value of x as a plain array, with no history: x itself if it is no Tensor."""
    return x.data if isinstance(x, Tensor) else x


def defvjp(function: Callable, *makers: VjpMaker | None, argnums: Iterable[int] = ()) -> None:
    """Give ``function`` its gradient rules, one for each argument, as in HIPS/autograd:

        defvjp(multiply, lambda ans, x, y: lambda g: g * y,
                         lambda ans, x, y: lambda g: g * x)

    A maker is called in the forward pass with the output and the arguments; what it returns takes
    ȳ to x̄ in the backward pass, and keeps alive just what it reads. A maker whose first parameter
    is called ``_`` does not read the output. None in place of a maker makes that argument count
    as a constant. ``argnums`` says which arguments the makers are for: 0, 1, ... by default.
    """
    rules: Rules = function.rules  # type: ignore[attr-defined]
    for i, maker in zip(argnums or itertools.count(), makers, strict=False):
        if maker is None:
            rules.constants.add(i)
        else:
            rules.makers[i] = maker
    rules.reads_output = any(map(_reads_output, rules.makers.values()))


def defvjp_argnums(function: Callable, maker: Callable[..., Vjp]) -> None:
    """Give ``function`` one rule for all its arguments at once.

    ``maker(argnums, ans, args, kwargs)`` returns a function from ȳ to the sequence of gradients
    with respect to the arguments ``argnums``.
    """
    rules: Rules = function.rules  # type: ignore[attr-defined]
    rules.for_all = maker


def _reads_output(maker: VjpMaker) -> bool:
    code = getattr(maker, "__code__", None)
    return code is None or code.co_varnames[:1] != ("_",)


def _by_position(function: Callable, args: tuple, kwargs: dict) -> tuple:
    """The arguments with the Tensors among the keyword arguments moved to their positions."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    if any(isinstance(value, Tensor) for value in bound.kwargs.values()):
        raise TypeError(f"{function.__name__}: a keyword-only argument cannot be a Tensor")
    return bound.args


def _observed(phase: str, what: Any, value: Any, run: Callable[[], Any]) -> Any:
    """``run()`` with every hook's method ``phase`` around it."""
    for observer in hooks:
        run = functools.partial(getattr(observer, phase), what, value, run)
    return run()


# ---------------------------------------------------------------------------------- backward pass


def backward_pass(
    seeds: Iterable[tuple[Node, Any]],
    targets: Iterable[Node] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
) -> list[tuple[Node, Any]]:
    """Gradients of Σ ⟨seed, output⟩ with respect to the leaves, or to the nodes in ``targets``.

    Returns (node, gradient) pairs. No two gradients share memory, and none shares it with a seed.
    """
    seeds = list(seeds)
    order = ancestors(node for node, _ in seeds)
    wanted = None if targets is None else set(targets)
    needed = None if wanted is None else _dependents(order, wanted)
    gradients: dict[Node, Any] = {}
    for node, seed in seeds:
        seed = seed if seed.dtype == node.dtype else seed.astype(node.dtype)
        gradients[node] = gradients[node] + seed if node in gradients else seed
    owned: set[Node] = set()  # those whose gradient is a buffer made here, to be added to in place
    result = []
    with recording(create_graph):
        while order:
            node = order.pop()
            g = gradients.pop(node, None)
            if g is None:
                continue
            if type(node) is LeafNode if wanted is None else node in wanted:
                result.append((node, _kept(node, g, node in owned or isinstance(g, Tensor))))
            if type(node) is LeafNode:
                continue
            if type(node) is ItemNode:
                _collect(gradients, node, g)
                continue
            vjps = node.vjps
            try:
                if type(vjps) is not list or type(g) is dict or hooks or changes.last > node.number:
                    vjps = _prepare(node, g, needed)
                for parent, vjp in zip(node.parents, vjps):  # noqa: B905 (strict= takes time)
                    if needed is not None and parent not in needed:
                        continue
                    x = vjp(g)
                    if x.shape != parent.shape or x.dtype is not parent.dtype:
                        x = _fit(x, parent)
                    if parent not in gradients:
                        gradients[parent] = x
                    elif parent in owned:
                        gradients[parent] += x
                    else:
                        gradients[parent] = gradients[parent] + x
                        if not create_graph:
                            owned.add(parent)
            except Exception as error:
                raise named(error, f"backward of {node.name}", (g,)) from error
            if not retain_graph and node.parents:
                node.vjps = None
                node.parents = []
    return result


def _kept(node: Node, g: Any, owned: bool) -> Any:
    """The gradient of a node, not shared with others: in the home of a leaf that waits for it."""
    leaf = node.tensor and node.tensor() if type(node) is LeafNode else None
    if leaf is None or leaf.home is None or leaf.grad is not None or isinstance(g, Tensor):
        return g if owned else g.copy()
    xp.copyto(leaf.home, g)
    return leaf.home


@whole
def give_gradient(leaf: Tensor, g: Any) -> None:
    """Add g to what has arrived at a leaf so far."""
    if leaf.grad is None:
        leaf.grad = g
    elif isinstance(g, Tensor) or isinstance(leaf.grad, Tensor) or leaf.grad.ndim == 0:
        leaf.grad = leaf.grad + g
    else:
        leaf.grad += g


def _prepare(node: Node, g: Any, needed: set[Node] | None) -> list[Vjp]:
    """Check a node, and run what is not one rule for each parent; the results as constant rules."""
    vjps = node.vjps
    if vjps is None:
        raise RuntimeError(
            "the graph was freed by an earlier backward pass; use backward(retain_graph=True) there"
        )
    if changes.last > node.number:
        changes.check(node.number, captured(node))
    if isinstance(vjps, list) and type(g) is not dict and not hooks:
        return vjps
    if type(g) is dict:  # of several results: those that were not used have gradient zero
        g = tuple(
            g[i] if i in g else xp.zeros(shape, dtype)
            for i, (shape, dtype) in enumerate(zip(node.shape, node.dtype, strict=True))
        )

    def run() -> list[Any]:
        if not isinstance(vjps, list):
            return list(vjps(g))
        pairs = zip(node.parents, vjps, strict=True)
        return [vjp(g) if needed is None or parent in needed else None for parent, vjp in pairs]

    xs = _observed("backward", node, g, run)
    return [functools.partial(_constant, x) for x in xs]


def _constant(x: Any, g: Any) -> Any:
    return x


def _fit(x: Any, parent: Node) -> Any:
    """Sum a gradient over the dimensions along which its input was broadcast, and cast it."""
    if x.shape != parent.shape:
        x = unbroadcast(x, parent.shape)
    return x if x.dtype == parent.dtype else x.astype(parent.dtype)


def unbroadcast(x: Any, shape: tuple[int, ...]) -> Any:
    """The transpose of ``broadcast_to``: sum ``x`` down to ``shape``."""
    extra = x.ndim - len(shape)
    if extra > 0:  # as for a bias: all axes in front
        x = _sum_over_first(x, extra)
    if x.shape == shape:
        return x
    if extra < 0 or any(b not in (1, a) for a, b in zip(x.shape, shape, strict=True)):
        raise ValueError(f"the rule returned a gradient of shape {x.shape} for an input {shape}")
    stretched = tuple(i for i, side in enumerate(shape) if side != x.shape[i])
    return x.sum(axis=stretched, keepdims=True)


def _sum_over_first(x: Any, count: int) -> Any:
    axes = tuple(range(count))
    return x.sum(axis=axes) if isinstance(x, Tensor) else sum_over(x, axes)


def _collect(gradients: dict[Node, Any], node: ItemNode, g: Any) -> None:
    """Add the gradient of one result to those of the operation's other results."""
    items = gradients.setdefault(node.parents[0], {})
    items[node.index] = items[node.index] + g if node.index in items else g


def ancestors(nodes: Iterable[Node]) -> list[Node]:
    """``nodes`` and all that they depend on, inputs before outputs."""
    found = set(nodes)
    stack = list(found)
    while stack:
        for parent in stack.pop().parents:
            if parent not in found:
                found.add(parent)
                stack.append(parent)
    return sorted(found, key=operator.attrgetter("number"))


def _dependents(order: list[Node], targets: set[Node]) -> set[Node]:
    """Those nodes of ``order`` that are targets or depend on one."""
    found = set(targets)
    for node in order:
        if any(parent in found for parent in node.parents):
            found.add(node)
    return found


@contextlib.contextmanager
def recording(flag: bool) -> Iterator[None]:
    """Record operations on Tensors within this block, or do not."""
    global _recording
    before, _recording = _recording, flag
    try:
        yield
    finally:
        _recording = before


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Within this block (or function, as a decorator) results are plain arrays, without history."""
    return recording(False)


def is_recording() -> bool:
    """Whether operations on Tensors are being recorded. Rules with a fused form ask this."""
    return _recording


@contextlib.contextmanager
def hook(observer: Hook) -> Iterator[Hook]:
    """Have ``observer`` called around every operation within this block: see :class:`Hook`."""
    hooks.append(observer)
    try:
        yield observer
    finally:
        hooks.remove(observer)


def captured(node: Node) -> list[Any]:
    """The Tensors and arrays that the rules of ``node`` keep alive."""
    found: dict[int, Any] = {}
    stack: list[Any] = list(node.vjps) if isinstance(node.vjps, list) else [node.vjps]
    seen = set()
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor) or is_array(value):
            found[id(value)] = value
        elif isinstance(value, tuple | list):
            stack.extend(value)
        elif isinstance(value, Mapping):
            stack.extend(value.values())
        elif isinstance(value, functools.partial):
            stack += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, types.MethodType):  # and what its object holds
            stack += [value.__func__, *getattr(value.__self__, "__dict__", {}).values()]
        elif isinstance(value, types.FunctionType) and not hasattr(value, "rules"):
            stack += [cell.cell_contents for cell in value.__closure__ or ()]
    return list(found.values())

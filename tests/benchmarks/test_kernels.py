"""The kernels' costs against a count by hand, their programs against PyTorch, and their figures."""

import itertools
import math

import numpy
import pytest

from autograd import backend
from benchmarks import kernels, timing
from benchmarks.bench import Options
from benchmarks.kernels import (
    KERNELS,
    convolutions,
    coupling,
    cross_entropy,
    crossover,
    elementwise,
    embedding,
    kernel,
    lstm,
    matmul,
    programs,
    roofline,
    spline,
)

# ------------------------------------------------------------------------ numbers that are counted


class Number:
    """A number that counts the operations on numbers, and which of those in memory are read."""

    done, read = 0, set()

    def __init__(self, value, place=None):
        self.value, self.place = float(value), place

    def _with(self, function, *others):
        Number.done += 1
        for number in (self, *others):
            if isinstance(number, Number) and number.place is not None:
                Number.read.add(number.place)
        values = (other.value if isinstance(other, Number) else other for other in others)
        return Number(function(self.value, *values))

    def __add__(self, other):
        return self._with(lambda a, b: a + b, other)

    def __sub__(self, other):
        return self._with(lambda a, b: a - b, other)

    def __rsub__(self, other):
        return self._with(lambda a, b: b - a, other)

    def __mul__(self, other):
        return self._with(lambda a, b: a * b, other)

    def __truediv__(self, other):
        return self._with(lambda a, b: a / b, other)

    def __le__(self, other):
        return self._with(lambda a, b: a <= b, other).value

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        return self._with(math.exp)

    def log(self):
        return self._with(math.log)

    def tanh(self):
        return self._with(math.tanh)

    def sigmoid(self):
        return self._with(lambda x: 1 / (1 + math.exp(-x)))


def cells(array):
    """The array's numbers, in memory: (an array of objects)."""
    found = numpy.empty(array.shape, object)
    for i in numpy.ndindex(array.shape):
        found[i] = Number(array[i], (id(array), i))
    return found


def zeros(*shape):
    found = numpy.empty(shape, object)
    for i in numpy.ndindex(shape):
        found[i] = Number(0)
    return found


def values(numbers):
    return numpy.vectorize(lambda number: number.value, otypes=[float])(numbers)


class Counted:
    """A case in float64, what it computes, and its inputs and ȳ as numbers that are counted."""

    def __init__(self, case):
        self.case, self.data = case, kernel.data(case, "float64")
        ours = programs.Ours(case, self.data)
        ours.both()
        self.results = ours.results()
        self.inputs = [
            cells(i.array) if i.array.dtype.kind == "f" else i.array for i in self.data.inputs
        ]
        self.gradients = [cells(g) for g in self.data.gradients]

    def start(self):
        Number.done, Number.read = 0, set()

    def agree(self, which, outputs, in_memory=False):
        """So many operations, these values and, if ``in_memory``, so many bytes."""
        assert Number.done == kernel.flops(self.case, which)
        size = 8 * (len(Number.read) + sum(y.size for y in outputs))
        assert not in_memory or size == self.data.bytes(which)
        first = 0 if which == "forward" else len(self.gradients)
        for mine, theirs in zip(outputs, self.results[first:], strict=which == "backward"):
            numpy.testing.assert_allclose(values(mine), theirs, rtol=1e-9, atol=1e-12)


# ------------------------------------------------------------------------------- costs, by counting


def product(x, w, y):
    """Adds x w to y."""
    for i, j, k in itertools.product(range(len(x)), range(w.shape[1]), range(len(w))):
        y[i, j] = y[i, j] + x[i, k] * w[k, j]
    return y


def test_a_matrix_product_costs_what_three_loops_count():
    case = Counted(matmul._case(2, 3, 4))
    (x, w), (g,) = case.inputs, case.gradients
    case.start()
    case.agree("forward", [product(x, w, zeros(2, 4))], in_memory=True)
    case.start()
    found = [product(g, w.T, zeros(2, 3)), product(x.T, g, zeros(3, 4))]
    case.agree("backward", found, in_memory=True)


CONVOLUTIONS = {
    "valid": ((2, 4, 3, 2), (2, 3, 2, 3), {}, False),
    "padded": ((2, 3, 4, 2), (3, 3, 2, 3), {"padding": 1}, False),
    "masked": ((1, 4, 3, 2), (3, 3, 2, 2), convolutions.MASKED, False),
    "strided": ((1, 5, 6, 2), (4, 4, 2, 3), convolutions.HALVING, False),
    "causal": ((2, 9, 2), (2, 2, 3), convolutions.CAUSAL, False),
    "transposed": ((1, 2, 3, 3), (4, 4, 2, 3), convolutions.HALVING, True),
}


def pairs(inner, outer, kernel, padding=0, stride=1, dilation=1, taps=None):
    """All (position in ``inner``, position in ``outer``, tap) with inner = s outer + d tap − p."""
    before = dilation * (kernel[0] - 1) if padding == "causal" else padding
    for o, t in itertools.product(numpy.ndindex(outer), numpy.ndindex(kernel)):
        i = tuple(stride * a + dilation * b - before for a, b in zip(o, t, strict=True))
        inside = all(0 <= a < side for a, side in zip(i, inner, strict=True))
        if inside and (taps is None or numpy.array(taps)[t]):
            yield i, o, t


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolution_costs_what_loops_over_positions_and_taps_count(kind):
    x_shape, w_shape, options, transposed = CONVOLUTIONS[kind]
    case = Counted(convolutions.convolution(kind, x_shape, w_shape, options, transposed))
    (x, w, b), (g,) = case.inputs, case.gradients
    if transposed:  # y is where a convolution has x
        w = w.swapaxes(-1, -2)
        reads = [
            (o, i, t) for i, o, t in pairs(g.shape[1:-1], x.shape[1:-1], w.shape[:-2], **options)
        ]
    else:
        reads = list(pairs(x.shape[1:-1], g.shape[1:-1], w.shape[:-2], **options))
    channels = list(itertools.product(range(len(x)), range(w.shape[-2]), range(w.shape[-1])))

    case.start()
    y = numpy.broadcast_to(b, g.shape).copy()
    for (i, o, t), (n, c, d) in itertools.product(reads, channels):
        y[(n, *o, d)] = y[(n, *o, d)] + x[(n, *i, c)] * w[(*t, c, d)]
    whole = kind != "masked"  # which does not read all of w
    case.agree("forward", [y], in_memory=whole)

    case.start()
    dx, dw, db = zeros(*x.shape), zeros(*w.shape), zeros(*b.shape)
    for (i, o, t), (n, c, d) in itertools.product(reads, channels):
        dx[(n, *i, c)] = dx[(n, *i, c)] + g[(n, *o, d)] * w[(*t, c, d)]
        dw[(*t, c, d)] = dw[(*t, c, d)] + x[(n, *i, c)] * g[(n, *o, d)]
    for i in numpy.ndindex(g.shape):
        db[i[-1]] = db[i[-1]] + g[i]
    dw = dw.swapaxes(-1, -2) if transposed else dw
    case.agree("backward", [dx, dw, db], in_memory=whole)


def test_an_elementwise_chain_costs_its_equations():
    case = Counted(elementwise._case(3))
    (x, s), (g,) = case.inputs, case.gradients
    case.start()
    t = [a.tanh() for a in s]
    e = [a.exp() for a in t]
    y = [a * b for a, b in zip(x, e, strict=True)]
    case.agree("forward", [numpy.array(y)])
    case.start()
    dx = [a * b for a, b in zip(g, e, strict=True)]
    ds = [a * b * (1 - c * c) for a, b, c in zip(g, y, t, strict=True)]
    case.agree("backward", [numpy.array(dx), numpy.array(ds)])


def test_a_cross_entropy_costs_its_equations():
    case = Counted(cross_entropy._case(2, 3))
    (x, labels), (g,) = case.inputs, case.gradients
    case.start()
    e, losses, totals = zeros(2, 3), zeros(2), zeros(2)
    for n in range(2):
        for k in range(3):
            e[n, k] = x[n, k].exp()
            totals[n] = totals[n] + e[n, k]
        losses[n] = totals[n].log() - x[n, labels[n]]
    case.agree("forward", [losses])
    case.start()
    dx = zeros(2, 3)
    for n in range(2):
        scale = g[n] / totals[n]
        for k in range(3):
            dx[n, k] = e[n, k] * scale
        dx[n, labels[n]] = dx[n, labels[n]] - g[n]
    case.agree("backward", [dx])


def test_an_embedding_costs_a_sum_for_each_gradient():
    case = Counted(embedding._case(3, 2, (2, 4)))
    (_, indices), (g,) = case.inputs, case.gradients
    case.start()
    table = zeros(3, 2)
    for *i, c in numpy.ndindex(g.shape):
        row = indices[tuple(i)]
        table[row, c] = table[row, c] + g[(*i, c)]
    Number.read |= {("index", i) for i in numpy.ndindex(indices.shape)}  # of 8 bytes, too
    case.agree("backward", [table], in_memory=True)


def test_an_lstm_costs_its_equations():
    batch, steps, channels, hidden = 2, 3, 2, 3
    case = Counted(lstm._case(batch, steps, channels, hidden))
    (x, w_x, w_h, b), (g,) = case.inputs, case.gradients
    case.start()
    h, c, kept, hs = zeros(batch, hidden), zeros(batch, hidden), [], zeros(*g.shape)
    for t in range(steps):
        sums = numpy.broadcast_to(b, (batch, 4 * hidden)).copy()
        z = product(h, w_h, product(x[:, t], w_x, sums))
        i, f, a, o = (z[:, k * hidden : (k + 1) * hidden] for k in range(4))
        i, f, o = (each(Number.sigmoid, gate) for gate in (i, f, o))
        a = each(Number.tanh, a)
        new = f * c + i * a
        tau = each(Number.tanh, new)
        kept.append((i, f, a, o, c, h, tau))
        hs[:, t] = h = o * tau
        c = new
    case.agree("forward", [hs])

    case.start()
    dx, dwx, dwh, db = zeros(*x.shape), zeros(*w_x.shape), zeros(*w_h.shape), zeros(*b.shape)
    dh, dc = zeros(batch, hidden), zeros(batch, hidden)
    for t in reversed(range(steps)):
        i, f, a, o, c, h, tau = kept[t]
        dh = dh + g[:, t]
        dc = dc + dh * o * (1 - tau * tau)
        gates = dc * a * (i - i * i), dc * c * (f - f * f), dc * i * (1 - a * a)
        dz = numpy.concatenate([*gates, dh * tau * (o - o * o)], 1)
        dc = dc * f
        dx[:, t] = product(dz, w_x.T, dx[:, t])
        dh = product(dz, w_h.T, zeros(batch, hidden))
        product(x[:, t].T, dz, dwx)
        product(h.T, dz, dwh)
        for n in range(batch):
            db = db + dz[n]
    case.agree("backward", [dx, dwx, dwh, db])


def each(function, *numbers):
    return numpy.vectorize(function, otypes=[object])(*numbers)


def test_a_coupling_layer_costs_its_equations_where_the_mask_leaves_something():
    batch, width, hidden = 2, 4, 3
    case = Counted(coupling._case(batch, width, hidden))
    (x, a, w1, b1, w2, b2, w3, b3), (dz, dl) = case.inputs, case.gradients
    seen, rest = x[:, :2], x[:, 2:]  # the first half is read, the second changed
    a, w1 = a[2:], w1[:2]
    w3, b3 = w3[:, [2, 3, 6, 7]], b3[[2, 3, 6, 7]]

    def dense(h, w, b):
        return product(h, w, numpy.broadcast_to(b, (len(h), len(b))).copy())

    case.start()
    rectified = lambda s: s._with(lambda v: max(v, 0.0))  # noqa: E731
    h1 = each(rectified, dense(seen, w1, b1))
    h2 = each(rectified, dense(h1, w2, b2))
    st = dense(h2, w3, b3)
    tau = each(Number.tanh, st[:, :2])
    s = a * tau
    e = each(Number.exp, s)
    xe = rest * e
    z = xe + st[:, 2:]
    log_det = zeros(batch)
    for k in range(2):
        log_det = log_det + s[:, k]
    case.agree("forward", [numpy.concatenate([seen, z], 1), log_det])

    case.start()
    ds = dz[:, 2:] * xe + dl[:, None]
    d_rest = dz[:, 2:] * e
    da, products = zeros(2), ds * tau
    for n in range(batch):
        da = da + products[n]
    d_last = numpy.concatenate([ds * a * (1 - tau * tau), dz[:, 2:]], 1)
    found, d = [], d_last
    for h, w in ((h2, w3), (h1, w2), (seen, w1)):
        db = zeros(w.shape[1])
        for n in range(batch):
            db = db + d[n]
        found = [product(h.T, d, zeros(*w.shape)), db, *found]
        d = product(d, w.T, zeros(*h.shape))
        if h is not seen:
            passed = values(h) > 0
            d = each(lambda number, passes: number * float(passes), d, passed)
    d_seen = d + dz[:, :2]
    assert Number.done == kernel.flops(case.case, "backward")
    grad_x, grad_a, grad_w1, grad_b1, *_ = case.results[2:]
    numpy.testing.assert_allclose(values(numpy.concatenate([d_seen, d_rest], 1)), grad_x)
    numpy.testing.assert_allclose(values(da), grad_a[2:])
    numpy.testing.assert_allclose(values(found[0]), grad_w1[:2])
    numpy.testing.assert_allclose(values(found[1]), grad_b1)


def test_a_spline_costs_its_equations():
    case = Counted(spline._case(1, 1))
    K, B, least = spline.SPLINE.bins, spline.SPLINE.bound, spline.SPLINE.least
    x, p = case.inputs[0][0, 0], case.inputs[1][0, 0]
    at_0 = math.log(math.expm1(1 - least))

    def knots(logits):
        e = [number.exp() for number in logits]
        total, so_far, found = Number(0), Number(0), []
        for number in e:
            total = total + number
        parts = [least + (1 - K * least) * (number / total) for number in e]
        for part in parts[:-1]:
            so_far = so_far + part
            found.append(2 * B * so_far - B)
        return [Number(-B), *found, Number(B)]

    def slope(number):
        return least + (1 + (number + at_0).exp()).log()

    case.start()
    assert x <= B
    xs, ys = knots(p[:K]), knots(p[K : 2 * K])
    k = sum(knot <= x for knot in xs[1:-1])
    assert 0 < k < K - 1
    d0, d1 = (slope(p[2 * K + i]) for i in (int(k) - 1, int(k)))
    k = int(k)
    w, h = xs[k + 1] - xs[k], ys[k + 1] - ys[k]
    xi = (x - xs[k]) / w
    s, rest = h / w, 1 - xi
    xi_2, rest_2, both = xi * xi, rest * rest, xi * rest
    q = s * (xi_2 + rest_2) + (d0 + d1) * both
    y = ys[k] + h * xi * (s * xi + d0 * rest) / q
    slope_here = d1 * xi_2 + 2 * s * both + d0 * rest_2
    log_slope = slope_here.log() + 2 * (s / q).log()
    case.agree("forward", [numpy.array([[y]]), numpy.array([[log_slope]])])


def test_going_both_ways_costs_the_sum():
    case = matmul._case(2, 3, 4)
    data = kernel.data(case, "float32")
    for cost in (data.bytes, lambda which: kernel.flops(case, which)):
        assert cost("both") == cost("forward") + cost("backward")
    assert kernel.data(case, "float64").bytes("both") == 2 * data.bytes("both")


# ---------------------------------------------------------------------------------------- programs

SMALL = [(k, case) for k in KERNELS for case in (k.tiniest, k.cases[0])]
by_name = pytest.mark.parametrize("case", [c for _, c in SMALL], ids=[c.name for _, c in SMALL])
by_dtype = pytest.mark.parametrize("dtype", kernel.DTYPES)


@by_name
@by_dtype
def test_each_pass_runs_and_all_leave_the_same_gradients(case, dtype):
    ours = programs.Ours(case, kernel.data(case, dtype))
    found = []
    for which in ("both", "backward", "backward"):
        ours.passes[which]()
        found.append([array.copy() for array in ours.results()])
    outputs = kernel.in_a_tuple(ours.passes["forward"]())
    assert [y.shape for y in outputs] == [g.shape for g in ours.gradients]
    assert all(array.dtype == dtype for array in found[0])
    for results in found[1:]:
        for first, second in zip(found[0], results, strict=True):
            numpy.testing.assert_array_equal(first, second)


@pytest.mark.peers
@by_name
@by_dtype
@pytest.mark.parametrize("channels_last", [False, True])
def test_pytorch_computes_the_same(case, dtype, channels_last):
    torch = pytest.importorskip("torch")
    if channels_last and not case.has_layouts:
        pytest.skip("it has one layout")
    data = kernel.data(case, dtype)
    ours = programs.Ours(case, data)
    peer = programs.InTorch(torch, case, data, channels_last=channels_last)
    ours.passes["both"]()
    near = {"float32": 1e-4, "float64": 1e-10}[dtype]
    for which in ("both", "backward"):
        peer.passes[which]()
        for mine, theirs in zip(ours.results(), peer.results(), strict=True):
            assert mine.dtype == theirs.dtype == dtype
            numpy.testing.assert_allclose(mine, theirs, rtol=near, atol=near)


@pytest.mark.peers
def test_a_variant_sets_its_number_of_threads_before_it_runs():
    torch = pytest.importorskip("torch")
    case = matmul.KERNEL.tiniest
    before = torch.get_num_threads()
    try:
        variants = programs.torch_variants(case, kernel.data(case, "float32"), "cpu")
        torch.set_num_threads(7)
        variants["threads: 1"]["forward"]()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_sizes_rise():
    for k in KERNELS:
        for which in kernel.PASSES:
            sizes = [
                kernel.data(case, "float32").bytes(which) for case in (k.tiniest, *k.cases[:2])
            ]
            assert sizes == sorted(set(sizes))


# ----------------------------------------------------------------------------------------- figures


def test_the_roofline_is_the_longer_of_computing_and_moving():
    roof = roofline.Roofline({"float32": 100.0}, [(10, 1.0), (1000, 3.0)])
    assert roof.bandwidth(1) == roof.bandwidth(10) == 1.0
    assert roof.bandwidth(100) == pytest.approx(2.0)  # half-way in the logarithm
    assert roof.bandwidth(1000) == roof.bandwidth(10**6) == 3.0
    assert roof.seconds(1000, 10, "float32") == 10.0
    assert roof.seconds(1001, 10, "float32") == pytest.approx(10.01)
    assert roof.seconds(10, 3000, "float32") == 1000.0
    assert roof.bound(1001, 10, "float32") == "arithmetic"
    assert roof.bound(999, 10, "float32") == "memory"


def test_the_rates_of_the_machine_are_measured_for_both_dtypes_and_all_sizes(monkeypatch):
    monkeypatch.setitem(roofline.SIDES, "numpy", (8, 16))
    monkeypatch.setitem(roofline.LARGEST, "numpy", 2**18)
    roof = roofline.measure()
    assert set(roof.rates) == {"float32", "float64"}
    assert [size for size, _ in roof.bandwidths] == [2**16, 2**18]
    assert min(*roof.rates.values(), *(rate for _, rate in roof.bandwidths)) > 0


def test_a_row_has_the_rates_of_its_operations_and_bytes():
    case = matmul._case(10, 10, 10)  # 2000 operations; 300 numbers of 4 bytes
    roof = roofline.Roofline({"float32": 1e9}, [(1, 1e9)])
    data = kernel.data(case, "float32")
    found = kernels._against_roofline(case, data, "forward", "float32", 1e-2, roof)
    assert found["bytes"] == 1200
    assert found["gflops"] == pytest.approx(0.2)  # in 10 µs
    assert found["gbs"] == pytest.approx(0.12)
    assert found["roofline"] == pytest.approx(0.2)  # 2 µs at 1 GFLOP/s
    assert found["bound"] == "arithmetic"


def made_up(backend, size, ms, kernel="lstm", which="both"):
    about = {"kernel": kernel, "dtype": "float32", "pass": which}
    return {**about, "backend": backend, "bytes": size, "ours_ms": ms}


def test_the_gpu_overtakes_where_both_take_equally_long():
    sizes = [1, 100, 10**4]
    assert crossover.crossover(sizes, [1, 100, 10**4], [10, 10, 10]) == pytest.approx(10)
    assert crossover.crossover(sizes, [1, 2, 3], [5, 2, 1]) == pytest.approx(100)
    assert crossover.crossover(sizes, [2, 2, 2], [1, 1, 1]) == 0
    assert crossover.crossover(sizes, [1, 3, 1], [2, 2, 2]) == math.inf
    assert crossover.crossover(sizes, [4, 1, 4], [2, 2, 2]) == pytest.approx(1000)  # for good


def test_rows_of_the_gpu_say_from_which_size_on_it_is_faster():
    rows = [made_up("numpy", size, size) for size in (1, 100)]
    rows += [made_up("cupy", size, 10) for size in (1, 100)]
    rows += [made_up(name, 5, ms, which="forward") for name, ms in (("numpy", 1), ("cupy", 2))]
    found = [row.get("overtakes", "-") for row in crossover.with_crossovers(rows)]
    assert found[:2] == ["-", "-"]
    assert found[2:4] == [pytest.approx(10), pytest.approx(10)]
    assert found[4:] == ["-", None]


def test_rows_of_the_gpu_alone_say_nothing_of_that():
    assert "overtakes" not in crossover.with_crossovers([made_up("cupy", 1, 1)])[0]


# -------------------------------------------------------------------------------------- the command


def test_a_name_picks_a_kernel_and_a_kind_all_of_its_kernels():
    assert [k.name for k in kernels.chosen(["lstm"])] == ["lstm"]
    assert [k.name for k in kernels.chosen(["conv", "lstm"])] == [
        *(k.name for k in convolutions.KERNELS),
        "lstm",
    ]
    assert kernels.chosen([]) == list(KERNELS)
    assert all(kernels.chosen([name]) for name in kernels.ALL)


def test_the_sizes_of_earlier_tables_are_among_them():
    names = {case.name for k in KERNELS for case in k.cases}
    assert names > {
        "3x3, 64 to 64, 32x28x28",
        "3x3 mask B, 64 to 64, 32x28x28",
        "1x1, 64 to 64, 32x28x28",
        "7x7, 1 to 64, 32x28x28",
        "causal k=2 d=4, 32 to 64, 4x4000",
        "4x4 stride 2, 64 to 128, 64x28x28",
        "4x4 stride 2 up, 128 to 64, 64x14x14",
        "3x3, 64 to 64, 64x8x8",
        "3x3 mask B, 64 to 64, 64x8x8",
        "LSTM 128 to 256, 32x64",
    }


def test_the_fastest_variant_of_each_pass_is_picked(monkeypatch):
    seconds = {"a": {"forward": 1, "backward": 4, "both": 3}, "b": dict.fromkeys(kernel.PASSES, 2)}
    variants = {v: {w: (lambda s=s: s) for w, s in found.items()} for v, found in seconds.items()}
    monkeypatch.setattr(kernels, "_typical", lambda program: program())
    monkeypatch.setattr(kernels, "PAUSE", 0)
    found = {which: list(picked) for which, picked in kernels.fastest(variants).items()}
    assert found == {"forward": ["a"], "backward": ["b"], "both": ["b"]}


def test_the_command_yields_a_row_for_each_size_dtype_and_pass(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE", 0)
    monkeypatch.setattr(timing, "TURN", 0)
    roof = roofline.Roofline(dict.fromkeys(kernel.DTYPES, 1e9), [(1, 1e9)])
    monkeypatch.setattr(kernels, "measure", lambda: roof)
    small = kernel.Kernel("matmul", matmul.KERNEL.tiniest, matmul.KERNEL.cases[:1])
    monkeypatch.setattr(kernels, "KERNELS", (small,))
    told = []
    options = Options(("matmul",), (backend.current(),), (), 0.0, lambda *what: told.append(what))
    rows = list(kernels.rows(options))
    in_float32 = [("float32", which) for which in kernel.PASSES]
    assert [(row["dtype"], row["pass"]) for row in rows] == [*in_float32, ("float64", "both")]
    assert rows[0]["name"] == "matrix product, 32x32 by 32x32: float32 forward"
    assert rows[0]["size"] == "matrix product, 32x32 by 32x32"
    for row in rows:
        assert row["kernel"] == "matmul" and row["backend"] == backend.current()
        assert row["ours_ms"] > 0 and row["overhead_ms"] > 0 and row["peer"] is None
        assert len(kernels.cells(row)) == len(kernels.COLUMNS)
    assert [done for _, done, _ in told[1:]] == [0, 1]
    assert {total for _, _, total in told} == {2}


def test_a_row_as_text():
    row = {"backend": "cupy", "ours_ms": 2.0, "gflops": 123.4, "gbs": 5.6, "roofline": 0.5}
    row |= {"overhead_ms": 0.5, "family": "torch", "peer": None, "overtakes": 2.5e6}
    alone = ["2", "123", "5.6", "50%", "25%", "no torch", "", ""]
    assert kernels.cells(row) == [*alone, "cupy, faster from 2.5 MB on"]
    row |= {"peer": "torch eager", "peer_ms": 4.0, "ratio": 0.5, "spread": [0.4, 0.6]}
    row["overtakes"] = 0.0
    assert kernels.cells(row)[-1] == "cupy, faster at all sizes"
    row["overtakes"] = None
    assert kernels.cells(row)[5:] == ["4", "0.50", "0.40 to 0.60", "cupy, slower at all sizes"]

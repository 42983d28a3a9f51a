"""The character model: its likelihood, windows and sampling checked by enumerating short texts."""

import itertools

import numpy
import pytest
import scipy.stats

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from autograd.test_util import check_grads
from scratchgen.models.autoregressive import characters
from scratchgen.models.autoregressive.characters import CharacterConfig, CharacterModel
from scratchgen.nn import GRU
from tests.scratchgen.exact import assert_float32_and_every_parameter_learns, log_prob, randomised

both_cells = pytest.mark.parametrize("cell", ["lstm", "gru"])
both_methods = pytest.mark.parametrize("method", ["cached", "naive"])


def make(cell="lstm", spread=0.7, **fields):
    """A small model in float64, all weights random; windows of 2 characters unless it says so."""
    small = {"characters": 3, "layers": 2, "width": 4, "embedding": 3, "window": 2}
    config = CharacterConfig(cell=cell, **{**small, **fields})
    return randomised(CharacterModel(config, backend.default_rng(0)), spread=spread)


def codes(rng, *shape, below=3):
    return backend.asarray(rng.integers(below, size=shape))


def host(x):
    return backend.to_numpy(x).copy()


def every_text(length, vocabulary=3):
    """All texts (vocabulary^length, length), in the order of their numbers in that base."""
    return numpy.array(list(itertools.product(range(vocabulary), repeat=length)))


def probabilities(model, length):
    return numpy.exp(log_prob(model, every_text(length, model.config.characters)))


def sample(model, n, length, seed=0, method="cached", prompt=None, **options):
    prompt = None if prompt is None else backend.asarray(numpy.array(prompt, int))
    rng = backend.default_rng(seed)
    return host(model.sample(n, rng, length, method, prompt, **options))


def assert_frequencies(texts, p):
    """χ² at the level 0.01 (seed fixed); every text is expected more than five times."""
    numbers = texts @ 3 ** numpy.arange(texts.shape[1])[::-1]
    expected = len(texts) * p / p.sum()
    assert expected.min() > 5
    assert scipy.stats.chisquare(numpy.bincount(numbers, minlength=len(p)), expected).pvalue > 0.01


def gradients(model, loss):
    """The gradient of the loss with respect to every parameter, by name."""
    for x in model.parameters().values():
        x.grad = None
    loss.backward()
    return {name: host(x.grad) for name, x in model.parameters().items()}


def assert_close(a, b):
    numpy.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


# ----------------------------------------------------------------------------------- likelihood


@both_cells
@pytest.mark.parametrize("length", [1, 2, 3, 5])  # shorter and longer than a window
@pytest.mark.parametrize("layers", [1, 3])
def test_the_probabilities_of_all_texts_of_a_length_sum_to_1(cell, length, layers):
    p = probabilities(make(cell, layers=layers), length)
    assert_close(p.sum(), 1)
    assert p.max() > 1.3 / len(p), "the model is uniform, and the sum shows nothing"


@both_cells
def test_a_character_is_predicted_from_all_before_it_and_none_after(cell, rng):
    model = make(cell, window=100)
    x = rng.integers(2, size=(1, 6))
    logits, _ = model.read(backend.asarray(x), model.start(1))
    for place in range(6):
        other = x.copy()
        other[0, place] = 2
        changed, _ = model.read(backend.asarray(other), model.start(1))
        differs = (host(changed) != host(logits)).any(-1)[0]
        assert (differs == (numpy.arange(6) >= place)).all()


@both_cells
def test_the_first_character_is_predicted_from_nothing_which_no_character_is(cell):
    model = make(cell)
    logits, _ = model.read(backend.asarray(numpy.array([[3], [0], [1], [2]])), model.start(4))
    p = numpy.exp(host(logits)[:, 0])
    p /= p.sum(axis=1, keepdims=True)
    assert_close(probabilities(model, 1), p[0])
    assert abs(p[0] - p[1:]).max(axis=1).min() > 1e-3


@both_cells
def test_logits_step_by_step_equal_those_of_the_whole_text(cell, rng):
    model = make(cell)
    x = codes(rng, 4, 6)
    whole, end = model.read(x, model.start(4))
    state = model.start(4)
    for t in range(6):
        logits, state = model.read(x[:, t : t + 1], state)
        assert_close(host(logits)[:, 0], host(whole)[:, t])
    for a, b in zip(state, end, strict=True):
        assert_close(host(a), host(b))


@both_cells
def test_log_prob_is_the_same_in_windows_of_any_size_with_its_gradient(cell, rng):
    x = codes(rng, 4, 7)
    found = []
    for window in (1, 3, 7, 50):
        model = make(cell, window=window)
        nats = np.sum(model.log_prob(x))
        found.append([host(nats), *gradients(model, nats).values()])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert_close(a, b)


def test_an_empty_text_is_certain():
    assert (log_prob(make(), numpy.zeros((5, 0), int)) == numpy.zeros(5)).all()


# ----------------------------------------------------------------------- training in windows


@both_cells
def test_two_windows_with_carried_state_equal_one_long_window(cell, rng):
    model = make(cell)
    previous, targets = codes(rng, 5, 8, below=4), codes(rng, 5, 8)
    whole, metrics = model.loss((previous, targets, model.start(5)), None)
    state, nats = model.start(5), []
    for part in (slice(0, 3), slice(3, 8)):
        loss, reported = model.loss((previous[:, part], targets[:, part], state), None)
        state = reported["state"]
        nats.append(loss.item())
    assert whole.item() == pytest.approx((3 * nats[0] + 5 * nats[1]) / 8, rel=1e-12)
    for a, b in zip(state, metrics["state"], strict=True):
        assert_close(host(a), host(b))


@both_cells
def test_the_gradient_of_a_window_ends_at_its_edge(cell, rng):
    model = make(cell)
    previous, targets = codes(rng, 5, 8), codes(rng, 5, 8)
    first, second = ((previous[:, part], targets[:, part]) for part in (slice(0, 3), slice(3, 8)))
    carried = model.loss((*first, model.start(5)), None)[1]["state"]
    assert not any(isinstance(x, Tensor) for x in carried)
    found = gradients(model, model.loss((*second, carried), None)[0])
    constant = [backend.asarray(host(x)) for x in carried]
    expected = gradients(model, model.loss((*second, constant), None)[0])
    _, with_history = model.read(first[0], model.start(5))
    through = gradients(model, model.loss((*second, with_history), None)[0])
    for name in found:
        assert_close(found[name], expected[name])
    name = "layers.0.weight_h"
    assert abs(found[name] - through[name]).max() > 1e-3 * abs(found[name]).max()


@both_cells
def test_the_loss_is_the_mean_over_characters_and_is_reported_without_history(cell, rng):
    model = make(cell)
    x = rng.integers(3, size=(4, 5))
    previous = numpy.concatenate([numpy.full((4, 1), 3), x[:, :-1]], axis=1)
    batch = backend.asarray(previous), backend.asarray(x), model.start(4)
    loss, metrics = model.loss(batch, backend.default_rng(0))  # the rate of dropout is 0
    assert loss.item() == pytest.approx(-log_prob(model, x).mean() / 5, rel=1e-12)
    assert metrics["nats"].item() == loss.item() and not isinstance(metrics["nats"], Tensor)
    with no_grad():
        unrecorded, same = model.loss(batch, None)
    assert unrecorded.item() == same["nats"].item() == loss.item()


@pytest.mark.parametrize(("cell", "parts"), [("lstm", 2), ("gru", 1)])
def test_the_state_is_a_flat_list_of_arrays(cell, parts):
    model = make(cell, layers=3)
    state = model.start(5)
    _, after = model.read(backend.asarray(numpy.zeros((5, 2), int)), state)
    assert [x.shape for x in state] == [x.shape for x in after] == [(5, 4)] * 3 * parts
    assert not any(host(x).any() for x in state)
    assert {x.dtype for x in state} == {numpy.dtype("float64")}


@both_cells
def test_the_model_as_made_is_float32_and_every_parameter_learns(cell, rng):
    config = CharacterConfig(characters=5, cell=cell, layers=3, width=4, dropout=0.2)
    model = CharacterModel(config, backend.default_rng(0))
    batch = codes(rng, 6, 10, below=6), codes(rng, 6, 10, below=5), model.start(6)
    state = model.loss(batch, None)[1]["state"]
    assert {x.dtype for x in state} == {numpy.dtype("float32")}
    assert_float32_and_every_parameter_learns(model, batch)


# --------------------------------------------------------------------------------------- dropout


@both_cells
def test_dropout_acts_with_a_generator_and_not_without(cell, rng):
    model = make(cell, dropout=0.5)
    x = codes(rng, 5, 6)
    with no_grad():
        one, two, again = (host(model.log_prob(x, rng=backend.default_rng(s))) for s in (0, 1, 0))
    assert (one != two).all() and (one == again).all()
    assert (log_prob(model, x) == log_prob(model, x)).all()


@both_cells
def test_dropout_never_acts_from_step_to_step(cell, rng):
    model = make(cell, dropout=0.5)
    for layer in model.layers:
        layer.weight_x[...] = 0.0  # what is left of a layer is its way through time
    x = codes(rng, 5, 6)
    with no_grad():
        logits, state = model.read(x, model.start(5))
        dropped, same = model.read(x, model.start(5), backend.default_rng(0))
    for a, b in zip(state, same, strict=True):
        numpy.testing.assert_array_equal(host(a), host(b))
    assert (host(logits) != host(dropped)).any()


@both_cells
def test_dropout_acts_on_what_every_layer_reads(cell, rng):
    model = make(cell, dropout=0.5)
    x = codes(rng, 5, 1)
    with no_grad():
        _, state = model.read(x, model.start(5))
        _, dropped = model.read(x, model.start(5), backend.default_rng(0))
    assert all((host(a) != host(b)).any() for a, b in zip(state, dropped, strict=True))


# -------------------------------------------------------------------------------------- sampling


@both_cells
@pytest.mark.parametrize("prompt", [None, [], [1], [2, 0, 1, 1, 2]])  # and longer than the window
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cached_sampling_equals_naive_sampling(cell, prompt, dtype):
    model = make(cell)
    model.astype(dtype)
    cached, naive = (
        sample(model, 30, 7, 3, method, prompt, temperature=1.2) for method in ("cached", "naive")
    )
    numpy.testing.assert_array_equal(cached, naive)
    assert cached.shape == (30, 7) and (numpy.unique(cached) == [0, 1, 2]).all()


@both_cells
@both_methods
def test_samples_occur_as_often_as_their_probability_says(cell, method):
    model = make(cell, spread=0.5)
    assert_frequencies(sample(model, 10_000, 3, method=method), probabilities(model, 3))


@both_cells
@both_methods
def test_texts_go_on_from_a_prompt_as_their_conditional_distribution_says(cell, method):
    model = make(cell, spread=0.5)
    prompt = [2, 0, 1]
    p = probabilities(model, 5)
    p = p[(every_text(5)[:, :3] == prompt).all(axis=1)]
    assert_frequencies(sample(model, 5_000, 2, method=method, prompt=prompt), p)


@both_methods
def test_temperature_divides_the_logits(method):
    model = make()
    p = probabilities(model, 1)
    texts = sample(model, 10_000, 1, method=method, temperature=0.5)
    assert_frequencies(texts, p**2)
    with pytest.raises(ValueError, match="temperature=0: temperature must be above 0"):
        sample(model, 1, 1, method=method, temperature=0)


def test_cached_sampling_reads_each_character_once_and_naive_all_again(monkeypatch):
    model, read = make(), []
    original = CharacterModel.read

    def noted(self, previous, *others):
        read.append(previous.shape[1])
        return original(self, previous, *others)

    monkeypatch.setattr(CharacterModel, "read", noted)
    sample(model, 2, 3, prompt=[0, 1, 2])
    assert read == [2, 2, 1, 1]  # "nothing" and the prompt in windows of 2
    read.clear()
    sample(model, 2, 3, method="naive")
    assert read == [1, 2, 2, 1]


@both_methods
def test_sampling_records_no_graph(method, monkeypatch):
    kinds = []
    draw = characters.categorical.sample

    def noted(logits, *others, **options):
        kinds.append(isinstance(logits, Tensor))
        return draw(logits, *others, **options)

    monkeypatch.setattr(characters.categorical, "sample", noted)
    sample(make(), 2, 3, method=method)
    assert kinds == [False] * 3


# ---------------------------------------------------------------------------------------- errors


def test_wrong_uses_are_errors_that_say_what_is_expected(rng):
    model = make()
    with pytest.raises(ValueError, match=r"texts \(6,\), expected \(N, T\)"):
        model.log_prob(codes(rng, 6))
    with pytest.raises(ValueError, match="not class-conditional"):
        model.log_prob(codes(rng, 2, 6), context=0)
    with pytest.raises(ValueError, match="'cached' and 'naive', not 'fast'"):
        sample(model, 1, 1, method="fast")
    with pytest.raises(ValueError, match=r"the prompt has shape \(1, 2\), expected \(P,\)"):
        sample(model, 1, 1, prompt=[[0, 1]])
    for cell in ("lstm", "gru"):
        with pytest.raises(ValueError, match=r"x \(2, 0, 3\) holds nothing to read"):
            make(cell).read(backend.asarray(numpy.zeros((2, 0), int)), make(cell).start(2))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("characters", 1),
        ("cell", "rnn"),
        ("layers", 0),
        ("width", 0),
        ("embedding", 0),
        ("dropout", 1.0),
        ("dropout", -0.1),
        ("window", 0),
    ],
)
def test_impossible_configurations_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
        CharacterConfig(**{field: value})


# --------------------------------------------------------------------------- the recurrent unit


PARAMETERS = ("weight_x", "weight_h", "bias", "bias_h")


def random_gru(inputs=2, hidden=3):
    return randomised(GRU(inputs, hidden, backend.default_rng(0)))


def arguments(layer, n=2):
    """x (n, C) and h (n, H) at random, and the layer's parameters, on the host."""
    rng = numpy.random.default_rng(1)
    channels, hidden = layer.weight_x.shape[0], layer.weight_h.shape[0]
    x, h = rng.standard_normal((n, channels)), rng.standard_normal((n, hidden))
    return [x, h, *map(layer.values().get, PARAMETERS)]


def with_parameters(layer, *values):
    """The same layer with these arrays or Tensors for parameters."""
    for name, value in zip(PARAMETERS, values, strict=True):
        setattr(layer, name, value)
    return layer


def sigmoid(z):
    return 1 / (1 + numpy.exp(-z))


def test_the_gru_follows_the_equations_gate_by_gate(rng):
    layer = random_gru()
    x, h = rng.standard_normal((4, 5, 2)), rng.standard_normal((4, 3))
    hs, (last,) = layer(backend.asarray(x), (backend.asarray(h),))
    w_x, w_h, b = (
        numpy.split(host(w), 3, axis=-1) for w in (layer.weight_x, layer.weight_h, layer.bias)
    )
    for t in range(5):
        r, z = (sigmoid(x[:, t] @ w_x[k] + h @ w_h[k] + b[k]) for k in range(2))
        n = numpy.tanh(x[:, t] @ w_x[2] + b[2] + r * (h @ w_h[2] + host(layer.bias_h)))
        h = z * h + (1 - z) * n
        assert_close(host(hs)[:, t], h)
    assert_close(host(last), h)


def test_a_gru_goes_on_from_a_state_in_parts_or_single_steps(rng):
    layer = random_gru()
    x = backend.asarray(rng.standard_normal((4, 5, 2)))
    whole, _ = layer(x)
    first, state = layer(x[:, :3])
    second, _ = layer(x[:, 3:], state)
    assert_close(numpy.concatenate([host(first), host(second)], axis=1), host(whole))
    state = layer.start(4)
    for t in range(5):
        state = layer.step(x[:, t], state)
        assert_close(host(state[0]), host(whole)[:, t])


def test_a_gru_starts_in_float32_with_orthogonal_gates():
    layer = GRU(3, 8, backend.default_rng(0))
    assert {path: (x.shape, x.dtype) for path, x in layer.parameters().items()} == {
        "weight_x": ((3, 24), "float32"),
        "weight_h": ((8, 24), "float32"),
        "bias": ((24,), "float32"),
        "bias_h": ((8,), "float32"),
    }
    for gate in numpy.split(host(layer.weight_h), 3, axis=1):
        numpy.testing.assert_allclose(gate.T @ gate, numpy.eye(8), atol=1e-6)


def test_the_derivatives_of_a_gru_agree_with_finite_differences():
    layer = random_gru(2, 2)
    args = [backend.asarray(a) for a in arguments(layer)]
    check_grads(lambda x, h, *values: with_parameters(layer, *values).step(x, (h,)))(*args)
    args[0] = backend.asarray(numpy.random.default_rng(2).standard_normal((2, 3, 2)))
    check_grads(lambda x, h, *values: with_parameters(layer, *values)(x, (h,)), order=1)(*args)


@pytest.mark.peers
def test_a_step_of_the_gru_agrees_with_torch_on_values_and_gradients():
    torch = pytest.importorskip("torch")
    layer = random_gru()
    args = arguments(layer, 4)
    variables = [Tensor(backend.asarray(a)) for a in args]
    x, h, *parameters = variables
    (ours,) = with_parameters(layer, *parameters).step(x, (h,))
    np.sum(ours * ours).backward()
    theirs = [torch.tensor(a, requires_grad=True) for a in args]
    x, h, w_x, w_h, b, b_h = theirs
    hidden_bias = torch.cat([torch.zeros(6), b_h])
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    values = dict(zip(names, (w_x.T, w_h.T, b, hidden_bias), strict=True))
    expected = torch.func.functional_call(torch.nn.GRUCell(2, 3).double(), values, (x, h))
    (expected * expected).sum().backward()
    assert_close(host(ours), expected.detach().numpy())
    for a, b in zip(variables, theirs, strict=True):
        assert_close(host(a.grad), b.grad.numpy())

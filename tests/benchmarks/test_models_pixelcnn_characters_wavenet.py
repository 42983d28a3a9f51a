"""The programs that are timed do the same here and in other libraries, on shrunken networks."""

from dataclasses import replace
from functools import partial

import numpy
import pytest

from autograd import backend
from benchmarks.models import characters, pixelcnn, wavenet
from benchmarks.models.steps import torch_compiled, torch_step
from scratchgen.models.autoregressive.characters import CharacterConfig
from scratchgen.models.autoregressive.wavenet import WaveNetConfig
from scratchgen.optim import Adam

PLAIN = replace(pixelcnn.PLAIN, batch=3, side=6, channels=6, depth=2)
RESIDUAL = replace(PLAIN, plain=False, levels=5, dropout=0.0)
WAVE = wavenet.Case(WaveNetConfig(levels=8, stacks=1, layers=3, residual=4, skip=6), 2, 20)
LSTM, GRU = (
    characters.Case(
        CharacterConfig(characters=7, width=6, embedding=5, cell=cell), 0.05, texts=3, steps=8
    )
    for cell in ("lstm", "gru")
)
CASES = [
    pytest.param(pixelcnn, PLAIN, id="plain-pixelcnn"),
    pytest.param(pixelcnn, RESIDUAL, id="pixelcnn"),
    pytest.param(characters, LSTM, id="lstm"),
    pytest.param(characters, replace(LSTM, clip=None), id="lstm-without-clipping"),
    pytest.param(characters, GRU, id="gru"),
    pytest.param(wavenet, WAVE, id="wavenet"),
]
STEPS = 4
FAMILIES = ("torch", "torch-compile", "jax")


def ours(module, case):
    """The losses before each of the steps and after all, and the values then."""
    if module is characters:
        learner, batch = characters.Ours(case.config, case.clip), characters.batch_of(case)
        return *losses_of(learner, batch), learner.model.values()
    model, x = module.model_of(case), backend.asarray(module.batch_of(case))
    optimiser = Adam(model.parameters().values(), module.RATE)
    losses = []
    for _ in range(STEPS):
        loss = model.loss(x, None)[0]
        losses.append(loss.item())
        loss.backward()
        optimiser.step()
    return [*losses, model.loss(x, None)[0].item()], model.values()


def losses_of(learner, batch):
    """The same of a character model, here or in PyTorch; each window goes on from the last."""
    losses = []
    for _ in range(STEPS):
        state = learner.state
        losses.append(learner.nats(*batch))
        learner.state = state
        learner.step(*batch, characters.RATE)
    return ([*losses, learner.nats(*batch)],)


@pytest.fixture(autouse=True)
def large_steps(monkeypatch):
    """With small ones gradients stay as they are, and all Adams do the same."""
    for module in (pixelcnn, characters, wavenet):
        monkeypatch.setattr(module, "RATE", 1e-2)


# ----------------------------------------------------------------------------------------- ours


@pytest.mark.parametrize(("module", "case"), CASES)
def test_our_step_lowers_the_loss_of_its_batch(module, case, monkeypatch):
    if module is characters:
        learner, batch = characters.Ours(case.config, case.clip), characters.batch_of(case)
        monkeypatch.setattr(characters, "Ours", lambda *_: learner)
        step = characters.ours(case)

        def loss():
            learner.restart()
            return learner.nats(*batch)
    else:
        model, x = module.model_of(case), backend.asarray(module.batch_of(case))
        monkeypatch.setattr(module, "model_of", lambda _: model)
        step = module.ours(case)

        def loss():
            return model.loss(x, None)[0].item()

    before = loss()
    for _ in range(STEPS):
        step()
    assert loss() < before


@pytest.mark.parametrize("module", [pixelcnn, characters, wavenet])
def test_a_training_step_has_all_peers_and_sampling_the_eager_one(module):
    for bench in module.benches():
        expected = FAMILIES if bench.name.endswith(": step") else FAMILIES[:1]
        assert tuple(bench.peers) == expected
    assert len({bench.name for bench in module.benches()}) == len(module.benches())


def test_the_plain_network_is_the_one_its_name_says():
    model = pixelcnn.model_of(pixelcnn.PLAIN)
    shapes = [model.first, *model.blocks, model.hidden, model.output]
    assert [tuple(conv.weight.shape) for conv in shapes] == [
        (7, 7, 1, 64),
        *[(3, 3, 64, 64)] * 7,
        (1, 1, 64, 64),
        (1, 1, 64, 1),
    ]
    assert not model.first.taps[3][3]
    assert all(conv.taps[1][1] for conv in model.blocks)


@pytest.mark.parametrize("case", [PLAIN, RESIDUAL], ids=["plain", "residual"])
def test_rows_of_pixels_are_those_of_whole_images(case, monkeypatch):
    model, states = pixelcnn.model_of(case), []

    def cached(n, context, of=model.cached):
        states.append(of(n, context))
        return states[-1]

    monkeypatch.setattr(model, "cached", cached)
    monkeypatch.setattr(pixelcnn, "model_of", lambda _: model)
    step = pixelcnn.sampling(case)
    for _ in range(2 * case.side):
        step()
    found = [backend.to_numpy(state.image) for state in states]
    rng = backend.default_rng(2)
    expected = [backend.to_numpy(model.sample(case.batch, rng, "naive")) for _ in range(2)]
    numpy.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("module", "case"), [CASES[2], CASES[4], CASES[5]])
def test_sequences_are_as_many_and_as_long_as_asked_for(module, case):
    drawn = module.sampling(case)()
    assert drawn.shape == numpy.shape(module.batch_of(case))[-2:]


# ---------------------------------------------------------------------------------------- peers


@pytest.mark.peers
@pytest.mark.parametrize(("module", "case"), CASES)
def test_torch_goes_the_same_steps(module, case):
    torch = pytest.importorskip("torch")
    for losses, values in in_torch(torch, module, case):
        assert_same(ours(module, case), (losses, values))


@pytest.mark.peers
@pytest.mark.parametrize(("module", "case"), CASES)
def test_jax_goes_the_same_steps(module, case):
    pytest.importorskip("jax")
    for step in module.in_jax(case, "cpu").values():
        losses = [float(step()) for _ in range(STEPS)]
        values = step.parameters
        assert_same(ours(module, case), ([*losses, float(step())], values))


@pytest.mark.peers
@pytest.mark.parametrize(("module", "case"), [CASES[0], CASES[2], CASES[5]])
def test_torch_samples_from_the_same_network(module, case):
    pytest.importorskip("torch")  # that it is the same is checked when the program is made
    for step in module.sampling_in_torch(case, "cpu").values():
        step()


@pytest.mark.peers
def test_another_network_is_not_timed(monkeypatch):
    pytest.importorskip("torch")
    other, network = pixelcnn.model_of(PLAIN), pixelcnn.TorchPixelCNN
    other.output.bias[...] = 0.1
    theirs = lambda torch, _, *rest: network(torch, other, *rest)  # noqa: E731
    monkeypatch.setattr(pixelcnn, "TorchPixelCNN", theirs)
    with pytest.raises(AssertionError):
        pixelcnn.in_torch(PLAIN, "cpu")


@pytest.mark.peers
@pytest.mark.slow
@pytest.mark.parametrize(("module", "case"), CASES)
@pytest.mark.filterwarnings("default")  # of the compiler
def test_compiled_torch_goes_the_same_steps(module, case):
    torch = pytest.importorskip("torch")
    torch._dynamo.reset()
    for losses, values in in_torch(torch, module, case, torch_compiled):
        assert_same(ours(module, case), (losses, values))


def in_torch(torch, module, case, made=lambda _, loss: loss):
    """Losses and values of each variant in PyTorch, as those of ours."""
    if module is characters:
        learner = characters.InTorch(torch, case.config, "cpu", case.clip, partial(made, torch))
        batch = characters.batch_of(case)
        yield *losses_of(learner, batch), learner.values()
        return
    model, x = module.model_of(case), torch.from_numpy(module.batch_of(case))
    if module is pixelcnn:
        variants = [
            pixelcnn.TorchPixelCNN(torch, model, layout, "cpu")
            for layout in ("contiguous", "channels last")
        ]
        arguments, named = (x[..., 0], True), pixelcnn_values
    else:
        variants = [wavenet.TorchWaveNet(torch, model, way, "cpu") for way in (True, False)]
        arguments, named = (x,), wavenet_values
    for network in variants:
        loss = partial(made(torch, network.loss), *arguments)
        step = torch_step(torch, loss, network.parameters, module.RATE)
        losses = []
        for _ in range(STEPS):
            losses.append(network.loss(*arguments).item())
            step()
        losses.append(network.loss(*arguments).item())
        yield losses, named(model, [p.detach().numpy() for p in network.parameters])


def pixelcnn_values(model, arrays):
    """By our names and in our shapes, from the order in which TorchPixelCNN has them."""
    names = ["first", "hidden", "output"]
    for i, block in enumerate(model.blocks):
        parts = ["squeeze", "conv", "expand"] if hasattr(block, "squeeze") else [None]
        names += [f"blocks.{i}.{part}" if part else f"blocks.{i}" for part in parts]
    values = {}
    for name, weight, bias in zip(names, arrays[::2], arrays[1::2], strict=True):
        values[f"{name}.weight"] = weight.transpose(2, 3, 1, 0)
        values[f"{name}.bias"] = bias
    return values


def wavenet_values(model, arrays):
    """Likewise of TorchWaveNet, whose skip connections are one kernel or one of each layer."""
    arrays = [a.transpose(2, 1, 0) if a.ndim == 3 else a for a in arrays]
    values = {"first.weight": arrays.pop(0)}
    for i, layer in enumerate(model.layers):
        values[f"layers.{i}.conv.weight"] = arrays.pop(0)
        values[f"layers.{i}.conv.bias"] = arrays.pop(0)
        if layer.residual is not None:
            values[f"layers.{i}.residual"] = arrays.pop(0)[0]
    *skips, bias, hidden, hidden_bias, output, output_bias = arrays
    values["skip.weight"], values["skip.bias"] = numpy.concatenate(skips, axis=1)[0], bias
    values["hidden.weight"], values["hidden.bias"] = hidden[0], hidden_bias
    values["output.weight"], values["output.bias"] = output[0], output_bias
    return values


def assert_same(expected, found):
    """Losses and values, within a thousandth of a step."""
    numpy.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    assert found[1].keys() == expected[1].keys()
    for name, value in expected[1].items():
        numpy.testing.assert_allclose(found[1][name], value, atol=1e-5, rtol=0, err_msg=name)

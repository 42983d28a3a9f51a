"""The VAE, Real NVP and the GAN that are timed are the same in all libraries, made small here."""

from functools import partial

import numpy
import pytest

from autograd import backend
from benchmarks.models import gan, realnvp, vae
from benchmarks.models.steps import JaxStep, torch_compiled, torch_step
from benchmarks.timing import training_step
from scratchgen.models.adversarial.gan import GANConfig
from scratchgen.models.latent.vae import VAEConfig
from scratchgen.optim import Adam

VAE = vae.Case(VAEConfig(4, 4, levels=2, latents=3, hidden=7, dropout=0.0), batch=5, images=6)
FLOW = realnvp.Case(batch=6, couplings=3, hidden=5, points=7)
# four images: a bias that cancels has a gradient of 0 then, and Adam makes much of rounding errors
GAN = gan.Case(
    GANConfig(8, 8, levels=256, loss="wgan-gp", network="conv", hidden=4, latents=3), 4, 5
)
MODULES = pytest.mark.parametrize(
    ("module", "case"), [(vae, VAE), (realnvp, FLOW), (gan, GAN)], ids=["vae", "realnvp", "gan"]
)
# PyTorch's compiler uses what PyTorch itself says not to use any more
COMPILED = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
FAMILIES = pytest.mark.parametrize(
    "family", ["torch", "jax", pytest.param("torch-compile", marks=COMPILED)]
)
PLAYERS = pytest.mark.parametrize("player", gan.PLAYERS)
STEPS = 3
CLOSE = 1e-5  # 3 % of how far Adam gets in so many steps


def three_steps(model, loss, parameters, rate):
    """The losses before each step and after all, and our values then."""
    optimiser, losses = Adam(parameters.values(), rate), []
    for t in range(STEPS + 1):
        losses.append(loss(t))
        if t < STEPS:
            losses[-1].backward()
            optimiser.step()
    return [found.item() for found in losses], model.values()


def three_in_torch(torch, loss, parameters, rate, compiled=False):
    """The losses in PyTorch; ``parameters`` are changed."""
    loss = torch_compiled(torch, loss) if compiled else loss
    numbers, losses = iter(range(STEPS)), []
    step = torch_step(torch, lambda: loss(next(numbers)), parameters, rate, 1)
    for t in range(STEPS):
        losses.append(loss(t).item())
        step()
    return [*losses, loss(STEPS).item()]


def three_in_jax(jax, loss, values, batch, noises, rate):
    """The losses in JAX, with the noise of each step, and the values after so many steps."""

    def numbered(values, t, x, *noises):
        found = loss(values, x, *(noise[t] for noise in noises))
        return found, t + 1

    first = numpy.int32(0)
    step = JaxStep(jax, numbered, values, (batch, *noises), rate, "cpu", first)
    losses = [float(step()) for _ in range(STEPS)]
    values = step.parameters
    last = [noise[STEPS] for noise in noises]
    return [*losses, float(loss(values, batch, *last))], values


def assert_same(losses, values, expected_losses, expected, before):
    numpy.testing.assert_allclose(losses, expected_losses, rtol=2e-5)
    for name, value in values.items():
        numpy.testing.assert_allclose(value, expected[name], atol=CLOSE, rtol=0, err_msg=name)
    moved = [abs(expected[name] - before[name]).max() for name in values]
    assert max(moved) > 10 * CLOSE


def torch_values(model, parameters):
    """PyTorch's dense layers, in our order, by our names and in our shapes."""
    arrays = [p.detach().numpy() for p in parameters]
    names = model.parameters()
    return {n: a.T if a.ndim == 2 else a for n, a in zip(names, arrays, strict=True)}


# ------------------------------------------------------------------------------------ without peers


@MODULES
def test_our_programs_run(module, case):
    for bench in module.benches(case):
        run = bench.ours()
        run()
        run()


@pytest.mark.parametrize(("module", "case"), [(vae, VAE), (realnvp, FLOW)])
def test_our_step_lowers_the_loss_of_its_batch(module, case):
    model, x = module.model_of(case), backend.asarray(module.batch_of(case))
    step = training_step(model, module.batch_of(case), 1e-2)

    def loss():
        return model.loss(x, backend.default_rng(5))[0].item()

    before = loss()
    for _ in range(20):
        step()
    assert loss() < 0.9 * before


@PLAYERS
def test_our_turn_lowers_that_players_loss_of_its_batch_alone(player):
    model, x = gan.model_of(GAN), backend.asarray(gan.batch_of(GAN))
    turn = gan.turn_of(model, player, gan.batch_of(GAN), backend.default_rng(0))
    before, values = gan.loss_of(model, player, x, backend.default_rng(5)).item(), model.values()
    for _ in range(200):
        turn()
    assert gan.loss_of(model, player, x, backend.default_rng(5)).item() < before
    changed = {name for name in model.parameters() if (model.values()[name] != values[name]).any()}
    assert changed and all(name.startswith(player) for name in changed)


def test_samples_are_as_many_as_the_name_says():
    assert vae.ours_sampling(VAE)().shape == (6, 4, 4, 1)
    assert realnvp.ours_sampling(FLOW)().shape == (7, 2)
    assert gan.ours_sampling(GAN)().shape == (5, 8, 8, 1)


def test_names_say_what_is_timed():
    names = [bench.name for module in (vae, realnvp, gan) for bench in module.benches()]
    assert names == [
        "VAE 784-400-20, batch 128: step",
        "VAE 784-400-20: 1,000 samples",
        "Real NVP, 8 couplings, hidden 64, batch 256: step",
        "Real NVP, 8 couplings, hidden 64: 10,000 samples",
        "WGAN-GP critic, 28x28, batch 64: step",
        "WGAN-GP generator, 28x28, batch 64: step",
        "DCGAN: 1,000 images",
    ]


# --------------------------------------------------------------------------------------- with peers


def library(family):
    return pytest.importorskip(family.partition("-")[0])


@pytest.mark.peers
@FAMILIES
@MODULES
def test_programs_of_peers_pass_their_check_and_run(module, case, family):
    library(family)
    for bench in module.benches(case):
        if family in bench.peers:
            programs = bench.peers[family]("cpu")
            assert programs
            for run in programs.values():
                run()
                run()


@pytest.mark.peers
@FAMILIES
def test_real_nvp_takes_the_same_steps(family):
    peer, model = library(family), realnvp.model_of(FLOW)
    before, x = model.values(), realnvp.batch_of(FLOW)
    expected = three_steps(
        model, lambda _: model.loss(backend.asarray(x), None)[0], model.parameters(), realnvp.RATE
    )
    if family == "jax":
        step = realnvp.jax_step(FLOW, "cpu")
        losses = [float(step()) for _ in range(STEPS + 1)]
        step = realnvp.jax_step(FLOW, "cpu")
        for _ in range(STEPS):
            step()
        found = losses, step.parameters
    else:
        flow = realnvp.TorchRealNVP(peer, realnvp.model_of(FLOW))
        loss = partial(flow.loss, peer.from_numpy(x))
        losses = three_in_torch(
            peer, lambda _: loss(), flow.parameters, realnvp.RATE, family == "torch-compile"
        )
        found = losses, torch_values(model, flow.parameters)
    assert_same(*found, *expected, before)


@pytest.mark.peers
@FAMILIES
def test_the_vae_takes_the_same_steps(family):
    peer, model, rng = library(family), vae.model_of(VAE), backend.default_rng(3)
    before, x, theirs = model.values(), vae.batch_of(VAE), backend.default_rng(3)
    shape = (VAE.batch, VAE.config.latents)
    noises = numpy.stack(
        [backend.to_numpy(theirs.standard_normal(shape)) for _ in range(STEPS + 1)]
    ).astype("float32")
    expected = three_steps(
        model, lambda _: model.loss(backend.asarray(x), rng)[0], model.parameters(), vae.RATE
    )
    if family == "jax":
        network = vae.JaxVAE(peer, VAE.config)
        found = three_in_jax(peer, network.loss, before, x, [noises], vae.RATE)
    else:
        network = vae.TorchVAE(peer, vae.model_of(VAE))
        rows, noise = peer.from_numpy(x).reshape(VAE.batch, -1), peer.from_numpy(noises)
        losses = three_in_torch(
            peer,
            lambda t: network.loss(rows, noise[t]),
            network.parameters,
            vae.RATE,
            family == "torch-compile",
        )
        found = losses, torch_values(model, network.parameters)
    assert_same(*found, *expected, before)


@pytest.mark.peers
@PLAYERS
@pytest.mark.parametrize("products", [False, True], ids=["convolutions", "products"])
def test_the_gan_takes_the_same_turns_in_jax(player, products):
    jax = library("jax")
    before, expected, numbers = gan_turns(player)
    names = set(gan.model_of(GAN).parameters())
    learnt = {n: before[n] for n in names if n.startswith(player)}
    network = gan.JaxGAN(jax, gan.model_of(GAN), products)

    def loss(values, x, noise, epsilon):
        return network.loss(player, {**before, **values}, x, noise, epsilon)[0]

    found = three_in_jax(jax, loss, learnt, gan.batch_of(GAN), numbers, gan.RATE)
    assert_same(*found, *expected, before)


@pytest.mark.peers
@PLAYERS
@pytest.mark.parametrize("last", [False, True], ids=["channels-first", "channels-last"])
def test_the_gan_takes_the_same_turns_in_pytorch(player, last):
    torch = library("torch")
    _, (expected, _), numbers = gan_turns(player)
    network = gan.TorchGAN(torch, gan.model_of(GAN), last)
    x = torch.from_numpy(gan.batch_of(GAN)).permute(0, 3, 1, 2)
    noise, epsilon = map(torch.from_numpy, numbers)
    losses = three_in_torch(
        torch,
        lambda t: network.loss(player, x, noise[t], epsilon[t]),
        network.parameters[player],
        gan.RATE,
    )
    numpy.testing.assert_allclose(losses, expected, rtol=5e-5, atol=1e-6)


def gan_turns(player):
    """Our values before, losses and values of three turns, and the random numbers of each."""
    model, x = gan.model_of(GAN), backend.asarray(gan.batch_of(GAN))
    before, (module, _) = model.values(), model.players[player]
    expected = three_steps(
        model,
        lambda t: gan.loss_of(model, player, x, backend.default_rng(t)),
        module.parameters(),
        gan.RATE,
    )
    pairs = [gan.drawn(model, GAN.batch, t) for t in range(STEPS + 1)]
    return before, expected, [numpy.stack(numbers) for numbers in zip(*pairs, strict=True)]


@pytest.mark.peers
@pytest.mark.parametrize("family", ["torch", "jax"])
def test_the_statistics_of_a_generators_batches_are_kept_alike(family):
    peer, model = library(family), gan.model_of(GAN)
    noise, _ = gan.drawn(model, GAN.batch, 1)
    values = model.values()
    model.generator(backend.asarray(noise), None, backend.default_rng(0))
    if family == "jax":
        _, running = gan.JaxGAN(peer, model, True).generator(values, noise, training=True)
        mean = running["generator.norms.0.mean"]
    else:
        network = gan.TorchGAN(peer, gan.model_of(GAN), False)
        network.generator(peer.from_numpy(noise))
        mean = network.norms["generator"][0]["running_mean"]
    expected = model.values()["generator.norms.0.mean"]
    assert (expected != values["generator.norms.0.mean"]).all()
    numpy.testing.assert_allclose(numpy.asarray(mean), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.peers
def test_the_check_fails_for_another_network():
    torch = library("torch")
    network = vae.TorchVAE(torch, vae.model_of(VAE))
    with torch.no_grad():
        network.parameters[0][0, 0] += 1
    with pytest.raises(AssertionError):
        vae.check(VAE, *vae.found_in_torch(torch, VAE, network), "cpu")
    flow = realnvp.TorchRealNVP(torch, realnvp.model_of(FLOW))
    flow.couplings.reverse()
    with pytest.raises(AssertionError):
        realnvp.check(FLOW, *realnvp.found_in_torch(torch, FLOW, flow), "cpu")
    both = gan.TorchGAN(torch, gan.model_of(GAN), True)
    with torch.no_grad():
        both.score[0][0, 0] += 1
    with pytest.raises(AssertionError):
        gan.check(torch, gan.model_of(GAN), both, gan.batch_of(GAN))

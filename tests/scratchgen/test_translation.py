"""pix2pix and CycleGAN: what sources are, patches, losses, whose turn changes what, the buffer."""

import dataclasses
import io
import itertools
import json
import math

import numpy
import pytest
from PIL import Image, ImageSequence
from rich.console import Console

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from scratchgen.data import digits
from scratchgen.errors import UsageError
from scratchgen.judging import classifier
from scratchgen.models.adversarial.cyclegan import CycleGAN, CycleGANConfig, DrawBuffer
from scratchgen.models.adversarial.pix2pix import Pix2Pix, Pix2PixConfig
from scratchgen.models.adversarial.translation import (
    UNBOUNDED,
    PatchCritic,
    TranslationConfig,
    inverted,
    sketch,
)
from scratchgen.optim import Adam
from scratchgen.training import Run, checkpoint, job
from scratchgen.training.media.images import IMAGES
from scratchgen.training.media.judging import translations
from scratchgen.training.media.medium import Request
from scratchgen.training.pictures import grid

MODELS = {"pix2pix": (Pix2Pix, Pix2PixConfig), "cyclegan": (CycleGAN, CycleGANConfig)}
CRITIC_AND_GENERATOR = {
    "pix2pix": ("critic", "generator"),
    "cyclegan": ("critics", "generators"),
}


def make(name, height=6, width=5, **options):
    model, config = MODELS[name]
    sizes = {"levels": 5, "hidden": 4, "layers": 2}
    return model(config(height, width, **(sizes | options)), backend.default_rng(0))


def images(rng, model, n):
    return backend.asarray(rng.integers(0, model.config.levels, (n, *model.shape)))


def host(x):
    return backend.to_numpy(x.data if isinstance(x, Tensor) else x)


def in_float64(model, rng, spread=0.3):
    """With random weights: no ReLU dead, no weight 0."""
    model.astype("float64")
    for x in model.parameters().values():
        x[...] = backend.asarray(spread * rng.standard_normal(x.shape))
    return model


# ------------------------------------------------------------------------------------------- tasks


def rows(*lines):
    """An image (1, H, W, 1) of the digits written."""
    return numpy.array([[int(x) for x in line] for line in lines])[None, ..., None]


@pytest.mark.parametrize(
    "levels, image, outline",
    [
        (
            2,
            ("00000", "01110", "01110", "01110", "00000"),
            ("00000", "01110", "01010", "01110", "00000"),
        ),
        (2, ("111", "111", "111"), ("111", "101", "111")),  # beyond the image there is no ink
        (2, ("01110", "11111", "01110"), ("01110", "10001", "01110")),  # corners do not count
        (2, ("1",), ("1",)),
        (2, ("11", "11"), ("11", "11")),
        (5, ("23432", "34443", "23432"), ("04440", "40004", "04440")),  # 2 of 0 … 4 is no ink
        (4, ("0123",), ("0033",)),
        (10, ("456",), ("099",)),
    ],
)
def test_a_sketch_is_the_ink_of_which_a_neighbour_is_none(levels, image, outline):
    found = sketch(backend.asarray(rows(*image)), levels)
    numpy.testing.assert_array_equal(host(found), rows(*outline))


def test_a_sketch_follows_its_equation_in_images_of_colours_and_bytes(rng):
    x = rng.integers(0, 256, (4, 7, 6, 3)).astype("uint8")
    found = host(sketch(backend.asarray(x), 256))
    assert found.dtype == "uint8"
    wide = numpy.pad((x > 127.5).astype(int), ((0, 0), (1, 1), (1, 1), (0, 0)))
    for n, r, c, k in itertools.product(range(4), range(7), range(6), range(3)):
        i = wide[n, :, :, k]
        around = i[r, c + 1] * i[r + 2, c + 1] * i[r + 1, c] * i[r + 1, c + 2]
        assert found[n, r, c, k] == 255 * i[r + 1, c + 1] * (1 - around)


def test_an_inverted_image_is_inverted_back(rng):
    x = rng.integers(0, 256, (3, 4, 4, 1)).astype("uint8")
    found = inverted(backend.asarray(x), 256)
    numpy.testing.assert_array_equal(host(found), 255 - x)
    numpy.testing.assert_array_equal(host(inverted(found, 256)), x)
    model = make("pix2pix", task="inverted")
    x = images(rng, model, 3)
    numpy.testing.assert_array_equal(host(model.source(x)), 4 - host(x))


# ---------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_a_score_of_the_critic_is_the_mean_of_patches_of_the_side_that_is_said(rng, layers):
    config = TranslationConfig(48, 48, hidden=3, patch_layers=layers)
    critic = in_float64(PatchCritic(config, 2, backend.default_rng(0)), rng)
    x = Tensor(backend.asarray(rng.standard_normal((1, 48, 48, 2))))
    patches = critic.patches(x)
    side = 48 // 2**layers
    assert patches.shape == (1, side, side)
    assert critic(x).item() == pytest.approx(host(patches).mean())
    patches[0, side // 2, side // 2].backward()
    seen = abs(host(x.grad)).sum((0, 3)) > 0
    for along in (seen.any(0), seen.any(1)):
        first, last = numpy.flatnonzero(along)[[0, -1]]
        assert last + 1 - first == 5 * 2**layers - 2
    assert seen.sum() == (5 * 2**layers - 2) ** 2


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "height, width, layers", [(8, 8, 1), (8, 8, 3), (28, 28, 2), (9, 4, 2), (7, 5, 2), (1, 2, 1)]
)
def test_images_of_any_sides_are_translated(rng, name, height, width, layers):
    model = make(name, height, width, layers=layers, colours=3, patch_layers=2)
    x = images(rng, model, 3)
    made = host(model.translated(model.source(x), backend.default_rng(0)))
    assert made.shape == (3, height, width, 3) and made.dtype.kind == "i"
    for batch in (x, x[:1]):  # an epoch's last batch may be one image
        for _, loss, _ in model.turns(batch, backend.default_rng(0)):
            assert math.isfinite(loss.item()) and loss.dtype == "float32"


def test_a_translation_is_of_its_own_source_and_varies_by_dropout_alone(rng):
    model = in_float64(make("pix2pix", 8, 8), rng)
    source = model.scaled(model.source(images(rng, model, 4)))

    def made(x, rng=None):
        with no_grad():
            return host(model.generator(x, rng))

    numpy.testing.assert_allclose(made(source)[:2], made(source[:2]), rtol=1e-10)
    one, again, other = (made(source, backend.default_rng(seed)) for seed in (0, 0, 1))
    numpy.testing.assert_array_equal(one, again)
    assert (abs(one - other).max((1, 2, 3)) > 1e-3).all()
    levels = make("pix2pix", 8, 8, levels=256)
    x = images(rng, levels, 4)
    one, other = (host(levels.translated(x, backend.default_rng(seed))) for seed in (0, 1))
    assert (one != other).any(), "when images are made as in training"
    model.generator.rate = 0.0
    numpy.testing.assert_array_equal(made(source), made(source, backend.default_rng(0)))


def test_what_there_was_on_the_way_down_is_seen_on_the_way_up(rng):
    """Were the smallest image the only way, its 1 × 1 number could not give 64."""
    model = in_float64(make("pix2pix", 8, 8, layers=3, hidden=1), rng)
    x = rng.uniform(-1, 1, (2, 8, 8, 1))
    for layer in model.generator.double[:-1]:
        layer.weight[...] = 0 * layer.weight.data
    with no_grad():
        one, other = host(model.generator(backend.asarray(x)))
    assert (abs(one - other) > 1e-6).mean() > 0.9
    for norm in model.generator.norms_up:
        norm.bias[...] = 0 * norm.bias.data  # nothing comes from below, and so nothing is dropped
    with no_grad():
        one, other = (
            model.generator(backend.asarray(x), r) for r in (None, backend.default_rng(0))
        )
    numpy.testing.assert_array_equal(host(one), host(other))


@pytest.mark.parametrize("name", MODELS)
def test_networks_begin_as_in_the_papers(name):
    model = make(name, 28, 28, hidden=32, patch_layers=2)
    for path, x in model.parameters().items():
        x = host(x)
        if path.endswith("weight"):
            assert abs(x.mean()) < 3e-3 and x.std() == pytest.approx(0.02, rel=0.1), path
        else:
            assert (x == (1 if path.endswith("gain") else 0)).all(), path


# ------------------------------------------------------------------------------------------- turns


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("loss", UNBOUNDED)
@pytest.mark.parametrize("layers", [1, 3])
def test_each_turn_gives_a_gradient_to_all_of_its_player_and_changes_no_one_else(
    rng, name, loss, layers
):
    model = make(name, 9, 8, loss=loss, layers=layers, patch_layers=2)
    for x in model.parameters().values():
        x[...] = x.data + backend.asarray(0.05 * rng.standard_normal(x.shape).astype("float32"))
    players = [module for module, _ in model.players.values()]
    assert sum(len(module.parameters()) for module in players) == len(model.parameters())
    order = []
    for player, value, metrics in model.turns(images(rng, model, 6), backend.default_rng(0)):
        before = {path: host(x).copy() for path, x in model.parameters().items()}
        value.backward()
        prefix = dict(zip(model.players, CRITIC_AND_GENERATOR[name], strict=True))[player] + "."
        parameters = model.parameters()
        for path, x in parameters.items():
            if not path.startswith(prefix):
                assert x.grad is None, path
            elif loss == "hinge" and path.endswith("score.bias"):
                continue  # it is added to the scores of real and made alike
            else:
                assert x.grad.dtype == "float32" and host(x.grad).any(), path
        Adam(model.players[player][0].parameters().values(), 1e-2).step()
        for path, x in parameters.items():
            assert path.startswith(prefix) or host(x).tobytes() == before[path].tobytes(), path
            x.grad = None
        assert metrics[player].item() == value.item()
        order.append(player)
    assert order == ["critic", "generator"]


def check_gradient(model, loss, module, rng, count=4):
    """Of ``loss()`` by some of the parameters of a module, against differences in float64."""
    loss().backward()
    checked = 0
    for path, x in module.parameters().items():
        gradient, weight = host(x.grad), host(x).copy()
        for place in rng.permutation(x.size)[:count]:
            values = []
            for sign in (1, -1):
                change = numpy.zeros(x.size)
                change[place] = sign * 1e-6
                x[...] = backend.asarray(weight + change.reshape(x.shape))
                values.append(loss().item())
            x[...] = backend.asarray(weight)
            slope = (values[0] - values[1]) / 2e-6
            assert abs(gradient.flat[place] - slope) < 2e-6 * max(1, abs(slope)), path
            checked += abs(slope) > 1e-3
    assert checked > 10


@pytest.mark.parametrize("loss", ["nonsaturating", "lsgan"])
def test_the_gradient_of_all_that_the_generator_of_pix2pix_minimises_is_its_slope(rng, loss):
    model = in_float64(make("pix2pix", loss=loss, l1=3.0, hidden=3), rng)
    x = images(rng, model, 3)
    source, real = model.scaled(model.source(x)), model.scaled(x)

    def total():
        made = model.generator(source, backend.default_rng(1))
        return model.generator_loss(source, real, made)

    check_gradient(model, total, model.generator, rng)
    assert all(x.grad is None for x in model.critic.parameters().values())


def test_the_gradient_of_all_that_the_generators_of_cyclegan_minimise_is_its_slope(rng):
    model = in_float64(make("cyclegan", identity=2.0, cycle=3.0, hidden=3), rng)
    source, image = (model.scaled(images(rng, model, 3)) for _ in range(2))

    def total():
        made = model.generators.source(image), model.generators.image(source)
        return model.generator_loss(source, image, *made)[0]

    check_gradient(model, total, model.generators, rng, count=2)
    assert all(x.grad is None for x in model.critics.parameters().values())


# ----------------------------------------------------------------------------------------- pix2pix


def pair(rng, model, n=3):
    x = images(rng, model, n)
    return model.scaled(model.source(x)), model.scaled(x)


def test_the_distance_counts_as_much_as_is_said_and_is_the_mean_over_all_values(rng):
    models = [in_float64(make("pix2pix", l1=l1), numpy.random.default_rng(1)) for l1 in (0, 1, 100)]
    source, real = pair(rng, models[0])
    made = backend.asarray(rng.uniform(-1, 1, real.shape))
    score, one, hundred = (model.generator_loss(source, real, made).item() for model in models)
    l1 = abs(host(real) - host(made)).mean()
    assert one - score == pytest.approx(l1) and hundred - score == pytest.approx(100 * l1)
    assert Pix2PixConfig().l1 == 100


def test_the_critic_of_pix2pix_learns_from_pairs_of_a_source_and_its_own_image(rng):
    model = in_float64(make("pix2pix", loss="lsgan"), rng)
    x = images(rng, model, 4)
    source, real = model.scaled(model.source(x)), model.scaled(x)
    noise = backend.default_rng(3)
    with no_grad():
        turns = model.turns(x, backend.default_rng(3))
        made = model.generator(source, noise)
        (_, critic, _), (_, generator, metrics) = turns
        joined = [host(model.critic(np.concatenate([source, y], -1))) for y in (real, made)]
    true, false = joined
    assert critic.item() == pytest.approx(((true - 1) ** 2).mean() / 2 + (false**2).mean() / 2)
    l1 = abs(host(real) - host(made)).mean()
    assert generator.item() == pytest.approx(((false - 1) ** 2).mean() / 2 + 100 * l1)
    assert metrics["error"].item() == pytest.approx(l1 / 2)
    other = host(model.score(source[::-1], real))
    assert (abs(other - true) > 1e-6).all(), "a pair is more than its image"


# ---------------------------------------------------------------------------------------- CycleGAN


@pytest.mark.parametrize("n, half", [(8, 4), (7, 3), (2, 1)])
def test_sources_are_of_other_images_than_those_of_the_same_step(rng, monkeypatch, n, half):
    model, given = make("cyclegan"), []
    number = rng.permutation(5**4)[:n, None]  # of an image, written in it
    x = numpy.zeros((n, *model.shape), int)
    x[:, 0, :4, 0] = (number // 5 ** numpy.arange(4)) % 5

    def critic_loss(self, source, image, *made):
        given.extend([host(source), host(image)])
        return np.sum(image)

    monkeypatch.setattr(CycleGAN, "source", lambda self, part: part)
    monkeypatch.setattr(CycleGAN, "critic_loss", critic_loss)
    next(model.turns(backend.asarray(x), backend.default_rng(0)))
    sources, others = ({image.tobytes() for image in images} for images in given)
    assert len(sources) == len(others) == half and not sources & others


def test_what_the_players_of_cyclegan_minimise_is_the_sum_of_its_terms(rng):
    model = in_float64(make("cyclegan", cycle=7.0, identity=3.0), rng)
    source, image = (model.scaled(images(rng, model, 3)) for _ in range(2))
    g, f = model.generators.image, model.generators.source
    with no_grad():
        x, s = g(source), f(image)
        loss, cycle = model.generator_loss(source, image, s, x)
        critics = model.critic_loss(source, image, s, x)
        scores = [
            host(critic(y))
            for critic, y in (
                (model.critics.image, image),
                (model.critics.image, x),
                (model.critics.source, source),
                (model.critics.source, s),
            )
        ]
        back = abs(host(f(x)) - host(source)).mean() + abs(host(g(s)) - host(image)).mean()
        kept = abs(host(g(image)) - host(image)).mean() + abs(host(f(source)) - host(source)).mean()
    image_real, image_made, source_real, source_made = scores
    expected = ((image_made - 1) ** 2).mean() / 2 + ((source_made - 1) ** 2).mean() / 2
    assert loss.item() == pytest.approx(expected + 7 * back + 3 * kept)
    assert cycle.item() == pytest.approx(back)
    real, made = ((image_real, source_real), (image_made, source_made))
    expected = sum(((y - 1) ** 2).mean() / 2 for y in real) + sum((y**2).mean() / 2 for y in made)
    assert critics.item() == pytest.approx(expected)


def test_the_cycle_error_is_0_for_generators_that_are_inverse_and_not_for_others(rng):
    model = make("cyclegan", colours=2)
    x = images(rng, model, 5)

    def error(image, source):
        model.generators.image = image
        model.generators.source = source
        return model.cycle_error(x).item()

    assert error(lambda x, rng=None: -x, lambda x, rng=None: -x) == 0
    turned = lambda x, rng=None: x[:, ::-1]  # noqa: E731
    assert error(turned, turned) == 0
    roll = lambda by: lambda x, rng=None: np.concatenate([x[..., by:], x[..., :by]], -1)  # noqa: E731
    assert error(roll(1), roll(-1)) == 0
    cube, root = (lambda x, rng=None: x**3), (lambda x, rng=None: np.sign(x) * np.abs(x) ** (1 / 3))
    assert error(cube, root) < 1e-6 < 0.02 < error(cube, cube)
    black = error(lambda x, rng=None: 0 * x - 1, lambda x, rng=None: x)  # all information is lost
    lost = [host(model.scaled(y)) + 1 for y in (x, model.source(x))]
    assert black == pytest.approx(sum(y.mean() for y in lost) / 4)


def test_what_is_reported_of_a_step_is_the_cycle_error(rng):
    model = make("cyclegan")
    x = images(rng, model, 1)  # the step's source and its image
    *_, (_, _, metrics) = model.turns(x, backend.default_rng(0))
    assert metrics["cycle_error"].item() == pytest.approx(model.cycle_error(x).item(), rel=1e-5)


def test_each_generator_makes_what_it_is_named_for(rng):
    model = make("cyclegan")
    model.generators.image = lambda x, rng=None: 0 * x + 1
    model.generators.source = lambda x, rng=None: 0 * x - 1
    x = images(rng, model, 3)
    assert (host(model.translated(x)) == 4).all() and (host(model.translated_back(x)) == 0).all()


# ------------------------------------------------------------------------------------------ buffer


def numbered(start, n):
    """Draws (n, 1, 1, 1) that tell when they were made."""
    return backend.asarray(numpy.arange(start, start + n, dtype="float32").reshape(n, 1, 1, 1))


def test_a_full_buffer_shows_earlier_draws_half_of_the_time_and_keeps_50_of_all(rng):
    buffer, old, kept = DrawBuffer(50, (1, 1, 1)), [], set()
    for step in range(400):
        full = host(buffer.filled).all()
        new = numbered(20 * step, 20)
        shown = host(buffer.shown(new, backend.default_rng(step))).ravel().astype(int)
        assert len(shown) == 20
        earlier = shown < 20 * step
        assert (shown[~earlier] == host(new).ravel()[~earlier]).all(), "in their own places"
        assert set(shown[earlier]) <= kept, "each earlier one was kept, and shown but once"
        here = set(host(buffer.draws).ravel().astype(int)[host(buffer.filled)])
        assert len(here) == host(buffer.filled).sum() <= 50
        if full:
            assert here == kept - set(shown[earlier]) | set(20 * step + numpy.flatnonzero(earlier))
            old.append(earlier.mean())
        kept = here
    assert len(old) > 390 and len(kept) == 50
    assert numpy.mean(old) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(20 * len(old)))
    assert host(buffer.draws).dtype == "float32"


def test_a_buffer_is_empty_at_first_and_shows_what_it_is_given():
    buffer = DrawBuffer(50, (1, 1, 1))
    assert not host(buffer.filled).any()
    shown = host(buffer.shown(numbered(7, 30), backend.default_rng(0)))
    numpy.testing.assert_array_equal(shown, host(numbered(7, 30)))
    assert host(buffer.filled).sum() == 30
    assert set(host(buffer.draws).ravel()[host(buffer.filled)]) == set(range(7, 37))


@pytest.mark.parametrize("size", [0, 3])
def test_of_more_draws_than_places_the_rest_is_shown_as_it_is(size):
    buffer = DrawBuffer(size, (1, 1, 1))
    for step in range(6):
        new = numbered(10 * step, 10)
        shown = host(buffer.shown(new, backend.default_rng(step))).ravel()
        assert len(shown) == 10
        numpy.testing.assert_array_equal(shown[size:], host(new).ravel()[size:])
    assert host(buffer.filled).sum() == size


def test_the_critics_are_shown_what_the_buffers_give_and_the_generators_answer_for_new_draws(rng):
    model, seen = make("cyclegan", buffer=4), []
    model.critic_loss = lambda *given: seen.append(given) or np.sum(given[0])
    model.generator_loss = lambda *given: seen.append(given) or (np.sum(given[0]), given[0][0])
    earlier = []
    for step in range(3):
        list(model.turns(images(rng, model, 8), backend.default_rng(step)))
        (*_, shown_source, shown_image), (*_, made_source, made_image) = seen[-2:]
        for shown, made in ((shown_source, made_source), (shown_image, made_image)):
            assert not isinstance(shown, Tensor) and isinstance(made, Tensor)
            new = (host(shown) == host(made)).all((1, 2, 3))
            earlier.append((~new).sum())
    assert earlier[:2] == [0, 0] and sum(earlier) > 0
    values = model.values()
    assert values["earlier.image.filled"].all() and values["earlier.source.filled"].all()
    assert (values["earlier.image.draws"] != values["earlier.source.draws"]).any()


# -------------------------------------------------------------------------------------------- runs

SMALL = ("hidden=4", "epoch_steps=3", "epochs=2", "batch_size=16", "average=0.5")


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(classifier, "STEPS", 2)
        yield


def train(out, name, *changes, data=None):
    output = io.StringIO()
    task = job.Job(name, [*SMALL, *changes], data=data, out=out, command="the command")
    return job.train(task, Console(file=output, width=200)), output.getvalue()


def lines(folder):
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


@pytest.fixture(scope="module", params=MODELS)
def run(request, tmp_path_factory):
    """The model's name, the run's folder, what it said."""
    return request.param, *train(tmp_path_factory.mktemp("runs") / "a", request.param)


def test_a_run_that_goes_on_takes_the_very_same_steps(run, tmp_path):
    name, whole, _ = run
    part, _ = train(tmp_path / "part", name, "steps=3")
    job.resume(part.path, ["steps=6"], Console(file=io.StringIO()))
    one, other = (checkpoint.load(folder.state)[0] for folder in (whole, part))
    assert one.keys() == other.keys()
    for path, x in one.items():
        numpy.testing.assert_array_equal(x, other[path], err_msg=path)
    if name == "cyclegan":
        assert one["weights.earlier.image.filled"].sum() > 8, "several steps' draws are there"


def test_a_run_is_judged_by_translations_of_the_part_and_their_distance_from_its_images(run):
    name, folder, output = run
    opened = Run.open(folder.path)
    model, data = opened.model(), opened.data()
    sources, made = translations(model, data.test)
    numpy.testing.assert_array_equal(sources, host(model.source(backend.asarray(data.test))))
    *epochs, test = lines(folder)
    assert test["test_error"] == pytest.approx(abs(made - data.test / 1.0).mean() / 16)
    before = abs(sources.astype(int) - data.test.astype(int)).mean() / 16
    assert test["test_source_error"] == pytest.approx(before)
    medium = IMAGES.ready(model, data, folder.path)
    real, (_, made) = data.validation, translations(model, data.validation)
    found = medium._judge_of(data).distance(real, made)
    assert epochs[-1]["validation_frechet"] == pytest.approx(found, rel=1e-4)
    text = f"{test['test_error']:.3f} from the images (sources {before:.3f})"
    assert text in output
    if name == "cyclegan":
        found = model.cycle_error(backend.asarray(data.test)).item()
        assert test["test_cycle_error"] == pytest.approx(found, rel=1e-4)
        assert f"{text}, {found:.3f} there and back" in output
    trained = {"pix2pix": "train_error", "cyclegan": "train_cycle_error"}[name]
    assert {"train_critic", "train_generator", trained} <= epochs[0].keys()


def test_what_is_drawn_are_rows_of_source_translation_and_original(run, tmp_path, monkeypatch):
    name, folder, output = run
    assert f"samples: {folder.path}/samples/translations.png" in output
    opened, pictures = Run.open(folder.path), []
    monkeypatch.setattr(
        "scratchgen.training.media.codes.save_grid",
        lambda path, x, levels, columns: pictures.append((x, levels, columns)),
    )
    IMAGES.draw(tmp_path / "a.png", opened, Request(5, show="translations"))
    ((x, levels, columns),) = pictures
    assert (levels, columns) == (17, {"pix2pix": 3, "cyclegan": 4}[name])
    x = x.reshape(5, columns, 8, 8, 1)
    data, model = digits.load().test[:5], opened.model()
    numpy.testing.assert_array_equal(x[:, 0], host(sketch(backend.asarray(data), 17)))
    made = model.translated(backend.asarray(x[:, 0]), backend.default_rng(0))
    numpy.testing.assert_array_equal(x[:, 1], host(made))
    numpy.testing.assert_array_equal(x[:, 2], data)
    if name == "cyclegan":
        back = host(model.translated_back(backend.asarray(data)))
        numpy.testing.assert_array_equal(x[:, 3], back)
    with pytest.raises(UsageError, match="--show translations"):
        IMAGES.draw(tmp_path / "a.png", opened, Request(5))


def test_images_of_ones_own_of_odd_sides_without_labels_are_enough(tmp_path, rng):
    numpy.savez(tmp_path / "a.npz", images=rng.integers(0, 3, (21, 7, 5, 3)).astype("uint8"))
    data = str(tmp_path / "a.npz")
    folder, _ = train(tmp_path / "a", "cyclegan", "batch_size=6", "task=inverted", data=data)
    assert math.isfinite(lines(folder)[-1]["test_error"])


def test_while_it_trains_the_same_sources_are_shown_each_beside_its_translation(run):
    _, folder, output = run
    opened, picture = Run.open(folder.path), folder.sample("training.png")
    model, data = opened.model(), opened.data()
    assert f"training: {picture}" in output
    shown = IMAGES.in_training(model, data, 0)
    assert shown.shape == (64, 8, 8, 1) and shown.dtype == "uint8"
    x = data.validation[:32]
    numpy.testing.assert_array_equal(shown[::2], host(sketch(backend.asarray(x), 17)))
    made = model.translated(backend.asarray(shown[::2]), backend.default_rng(0))
    numpy.testing.assert_array_equal(shown[1::2], host(made))
    state, _ = checkpoint.load(folder.state)
    assert {name for name in state if name.startswith("animation")} == {
        "animation.1",
        "animation.2",
    }
    numpy.testing.assert_array_equal(state["animation.2"], shown)
    with Image.open(picture) as moving:
        *_, last = (numpy.asarray(x.convert("RGB")) for x in ImageSequence.Iterator(moving))
    numpy.testing.assert_array_equal(last, grid(shown, 17, columns=8))
    few = IMAGES.in_training(model, dataclasses.replace(data, validation=x[:10]), 0)
    numpy.testing.assert_array_equal(
        IMAGES.picture(model, data, few), grid(few, 17, columns=8), "pairs stay in their row"
    )


@pytest.mark.parametrize(
    "field, value",
    [
        ("task", "colour"),
        ("loss", "wgan-gp"),
        ("layers", 4),
        ("layers", 0),
        ("patch_layers", -1),
        ("patch_layers", 4),
        ("hidden", 0),
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_a_setting_that_makes_no_sense_is_refused_by_name(name, field, value):
    with pytest.raises(ValueError, match=f"^{field}={value}: {field} must be "):
        dataclasses.replace(MODELS[name][1](), **{field: value})
    for other in ("l1", "dropout") if name == "pix2pix" else ("cycle", "identity", "buffer"):
        with pytest.raises(ValueError, match=f"^{other}=-1: {other} must be "):
            dataclasses.replace(MODELS[name][1](), **{other: -1})


@pytest.mark.parametrize("name", MODELS)
def test_sides_are_halved_until_the_larger_one_is_a_pixel(rng, name):
    for width, most in ((2, 1), (3, 2), (5, 3), (8, 3)):
        model = make(name, 1, width, layers=most)
        source = model.source(images(rng, model, 2))
        assert model.translated(source, backend.default_rng(0)).shape == (2, 1, width, 1)
        with pytest.raises(ValueError, match=f"layers must be from 1 to {most}: a side of {width}"):
            make(name, 1, width, layers=most + 1)
    with pytest.raises(ValueError, match="height=1: height must be at least 2, or the width"):
        make(name, 1, 1, layers=1)

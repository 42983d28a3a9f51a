"""Scores of draws: what they must be where that is known, and the classifier that they go by."""

import dataclasses
import io
import itertools
import json
import math
import shutil

import numpy
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from autograd import backend
from scratchgen import cli
from scratchgen.data import digits, points, toys
from scratchgen.errors import RunError
from scratchgen.judging import classifier, scores
from scratchgen.training import Run, checkpoint, job
from scratchgen.training.evaluation import evaluate
from scratchgen.training.media.images import IMAGES
from scratchgen.training.media.judging import ImageJudge, all_the_same, drawn

# --------------------------------------------------------------------------------------- scores


@given(st.integers(1, 20), st.integers(1, 12), st.integers(0, 2**32 - 1), st.floats(0.01, 30))
def test_the_inception_score_is_from_1_to_the_number_of_classes(n, classes, seed, sharpness):
    logits = sharpness * numpy.random.default_rng(seed).standard_normal((n, classes))
    p = scipy.special.softmax(logits, -1).astype("float32")
    assert 1 - 1e-12 <= scores.inception_score(p) <= classes + 1e-9


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_the_inception_score_of_certain_and_balanced_classes_is_their_number(classes):
    p = numpy.tile(numpy.eye(classes, dtype="float32"), (7, 1))
    assert scores.inception_score(p) == pytest.approx(classes, rel=1e-12)
    uneven = numpy.eye(3)[[0, 0, 0, 1]]
    assert scores.inception_score(uneven) == pytest.approx(4 / 3**0.75, rel=1e-12)


def test_the_inception_score_of_images_that_look_alike_is_1():
    assert scores.inception_score(numpy.full((5, 10), 0.1)) == pytest.approx(1, abs=1e-12)
    assert scores.inception_score(numpy.tile([0.2, 0.5, 0.3], (9, 1))) == pytest.approx(1)
    assert scores.inception_score(numpy.eye(10)[[3] * 8]) == 1


def normal_sample(mean, root, n, rng):
    """(n, D) whose mean and covariance are exactly µ and A Aᵀ."""
    x = rng.standard_normal((n, len(mean)))
    x = x - x.mean(0)
    x = x @ numpy.linalg.inv(numpy.linalg.cholesky(numpy.cov(x.T))).T
    return mean + x @ root.T


def test_the_frechet_distance_of_diagonal_normal_distributions_has_a_closed_form(rng):
    """|µ₁ − µ₂|² + Σ (σ₁ − σ₂)²."""
    means, sigmas = rng.standard_normal((2, 5)), rng.uniform(0.1, 3, (2, 5))
    x, y = (normal_sample(m, numpy.diag(s), 60, rng) for m, s in zip(means, sigmas, strict=True))
    expected = ((means[0] - means[1]) ** 2).sum() + ((sigmas[0] - sigmas[1]) ** 2).sum()
    assert scores.frechet_distance(x, y) == pytest.approx(expected, rel=1e-10)


def test_the_frechet_distance_is_that_of_the_matrix_square_root(rng):
    x = rng.standard_normal((50, 6)) @ rng.standard_normal((6, 6))
    y = 1 + rng.standard_normal((40, 6)) @ rng.standard_normal((6, 6))
    a, b = numpy.cov(x.T), numpy.cov(y.T)
    root = scipy.linalg.sqrtm(a @ b).real
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + numpy.trace(a + b - 2 * root)
    assert scores.frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)
    assert scores.frechet_distance(y, x) == pytest.approx(expected, rel=1e-8)
    turn = scipy.stats.ortho_group.rvs(6, random_state=0)
    assert scores.frechet_distance(x @ turn, y @ turn) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("n, d", [(30, 4), (5, 40), (2, 3), (1, 3)])
def test_the_frechet_distance_of_a_set_to_itself_is_0_and_finite_however_few_they_are(n, d, rng):
    x, y = rng.standard_normal((n, d)), rng.standard_normal((n + 1, d))
    assert scores.frechet_distance(x, x) == pytest.approx(0, abs=1e-12)
    assert scores.frechet_distance(x, x[rng.permutation(n)]) == pytest.approx(0, abs=1e-12)
    assert scores.frechet_distance(x + 2, x) == pytest.approx(4 * d)
    assert 0 < scores.frechet_distance(x, y) < math.inf


def test_the_frechet_distance_to_one_point_is_that_of_the_means_and_the_variance(rng):
    x, point = rng.standard_normal((50, 4)), numpy.full((20, 4), 3.0)
    expected = ((x.mean(0) - 3) ** 2).sum() + x.var(0, ddof=1).sum()
    assert scores.frechet_distance(x, point) == pytest.approx(expected)
    assert scores.frechet_distance(x, point[:1]) == pytest.approx(expected)


def test_precision_and_recall_of_equal_sets_are_1_and_of_sets_apart_0(rng):
    x = rng.standard_normal((80, 5))
    assert scores.precision_and_recall(x, x) == (1, 1)
    assert scores.precision_and_recall(x, x + 100) == (0, 0)


def test_a_generator_of_one_mode_has_precision_but_no_recall_and_one_of_noise_the_reverse(rng):
    modes = rng.standard_normal((10, 4)) * 10
    real = numpy.repeat(modes, 40, 0) + rng.standard_normal((400, 4))
    one = modes[3] + 0.1 * rng.standard_normal((400, 4))
    precision, recall = scores.precision_and_recall(real, one)
    assert precision == 1 and recall < 0.02
    everywhere = 30 * rng.standard_normal((1500, 4))
    precision, recall = scores.precision_and_recall(real, everywhere)
    assert precision < 0.01 and recall > 0.9


def test_precision_and_recall_are_what_the_definition_says(rng, monkeypatch):
    monkeypatch.setattr(scores, "ROWS", 7)  # in several pieces
    real, fake = rng.standard_normal((30, 2)), 0.7 * rng.standard_normal((20, 2)) + 0.5

    def share(x, region, k):
        radius = [sorted(math.dist(r, s) for s in region)[k] for r in region]
        near = [any(math.dist(p, r) <= d for r, d in zip(region, radius, strict=True)) for p in x]
        return numpy.mean(near)

    for k in (1, 3):
        found = scores.precision_and_recall(real, fake, neighbours=k)
        assert found == (share(fake, real, k), share(real, fake, k))


def test_a_single_draw_and_draws_that_are_one_point_have_scores_too(rng):
    real = rng.standard_normal((30, 3))
    assert scores.precision_and_recall(real, real[:1]) == (1, 1 / 30)
    assert scores.precision_and_recall(real, real[[4] * 30]) == (1, 1 / 30)
    assert scores.precision_and_recall(real[:1], real[:1]) == (1, 1)
    assert scores.precision_and_recall(real[:2], real[:2] + 0.01) == (1, 1)


def test_the_wasserstein_distance_on_a_line_is_that_of_the_sorted_points(rng):
    x, y = rng.standard_normal((50, 1)), 2 * rng.standard_normal((50, 1)) + 1
    expected = scipy.stats.wasserstein_distance(x[:, 0], y[:, 0])
    assert scores.wasserstein_distance(x, y) == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_the_wasserstein_distance_is_the_least_over_all_permutations(n, d, seed):
    x, y = numpy.random.default_rng(seed).standard_normal((2, n, d))
    least = min(
        numpy.linalg.norm(x - y[list(order)], axis=1).mean()
        for order in itertools.permutations(range(n))
    )
    assert scores.wasserstein_distance(x, y) == pytest.approx(least, rel=1e-12)
    assert scores.wasserstein_distance(y, x) == pytest.approx(least, rel=1e-12)
    assert scores.wasserstein_distance(x, x + 1) == pytest.approx(math.sqrt(d))


@pytest.mark.parametrize("name, modes", [("eight-gaussians", 8), ("grid", 25)])
def test_the_modes_of_a_mixture_are_found_by_its_own_points(name, modes):
    toy, x = toys.find(name), points.load(name).test
    centres = backend.to_numpy(toy.centres)
    found = scores.modes_found(x, centres, toy.sigma)
    assert found.found == modes and found.share == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    assert scores.modes_found(centres[:3], centres, toy.sigma) == scores.Modes(3, 1)
    assert scores.modes_found(x + 100, centres, toy.sigma) == scores.Modes(0, 0)
    between = numpy.concatenate([centres[:1] + 3.1 * toy.sigma, centres[1:2]])
    assert scores.modes_found(between, centres, toy.sigma) == scores.Modes(1, 0.5)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 30), st.integers(0, 99))
def test_the_agreement_of_groups_and_labels_is_the_best_over_all_ways_to_name_groups(k, m, n, seed):
    rng = numpy.random.default_rng(seed)
    groups, labels = rng.integers(k, size=n), rng.integers(m, size=n).astype("uint8")
    names = itertools.permutations(range(max(k, m)), k)
    best = max((numpy.array(name)[groups] == labels).mean() for name in names)
    assert scores.agreement(groups, labels) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: scores.agreement(x[:, 0].astype(int), x[:4, 0].astype(int)), "5 groups and 4"),
        (lambda x: scores.frechet_distance(x, x[:, :2]), "of 3 and of 2 dimensions"),
        (lambda x: scores.frechet_distance(x, x[:0]), r"shape \(0, 3\); expected \(N, D\)"),
        (lambda x: scores.precision_and_recall(x, x[0]), r"shape \(3,\); expected \(N, D\)"),
        (lambda x: scores.precision_and_recall(x, x, 0), "neighbours is 0; at least 1"),
        (lambda x: scores.wasserstein_distance(x, x[:4]), "5 and 4 points; as many of both"),
        (lambda x: scores.wasserstein_distance(x, x * math.nan), "NaN or infinite"),
        (lambda x: scores.frechet_distance(x, x * math.inf), "NaN or infinite"),
        (lambda x: scores.inception_score(-x), "are at least 0"),
        (lambda x: scores.inception_score(0 * x), "not all of them 0"),
        (lambda x: scores.modes_found(x, x[:, :1], 1.0), "of 3 and of 1 dimensions"),
    ],
)
def test_samples_that_cannot_be_compared_are_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message):
        call(numpy.ones((5, 3)))


# ----------------------------------------------------------------------------------- classifier


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The file of the digits' classifier, for runs that need not learn it once more."""
    path = tmp_path_factory.mktemp("judged")
    ImageJudge(digits.load(), path)
    return path / "classifier.safetensors"


@pytest.fixture(scope="module")
def judge(kept):
    return ImageJudge(digits.load(), kept.parent)


def test_the_classifier_tells_the_digits_of_the_test_part(judge):
    data = digits.load()
    for part, least in {"train": 0.999, "validation": 0.97, "test": 0.97}.items():
        assert judge.classifier.seen(data.part(part)).right(data.labels[part]) >= least


def test_what_the_classifier_sees_are_its_hidden_layer_and_probabilities(judge):
    seen = judge.classifier.seen(digits.load().test)
    assert seen.features.shape == (359, 64) and seen.p.shape == (359, 10)
    assert seen.features.dtype == "float32" and (abs(seen.features) <= 1).all()
    numpy.testing.assert_allclose(seen.p.sum(1), 1, rtol=1e-5)
    weight, bias = (judge.classifier.values()[f"output.{name}"] for name in ("weight", "bias"))
    logits = seen.features @ weight + bias
    numpy.testing.assert_allclose(seen.p, scipy.special.softmax(logits, -1), rtol=1e-3, atol=1e-6)


def test_draws_of_classes_asked_for_are_judged_by_how_many_are_recognised_as_of_these(judge):
    data = digits.load()
    real, draws, asked = data.test[:100], data.test[100:200], data.labels["test"][100:200].copy()
    assert "as_asked" not in judge.judgement(real, draws).measures
    assert judge.judgement(real, draws, asked).measures["as_asked"] >= 0.95
    asked[:40] = (asked[:40] + 1) % 10
    found = judge.judgement(real, draws, asked)
    assert found.measures["as_asked"] == pytest.approx(0.6, abs=0.05)
    assert f"{found.measures['as_asked']:.1%} of the class asked for" in found.text


def test_the_classifier_is_the_same_bit_for_bit_every_time(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 30)
    one, other = (classifier.trained(digits.load()).values() for _ in range(2))
    for name, x in one.items():
        numpy.testing.assert_array_equal(x, other[name])


def test_the_classifier_learns_from_the_training_part_alone(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 5)
    data = digits.load()
    rest = {part: numpy.zeros_like(data.part(part)) for part in ("validation", "test")}
    one, other = (classifier.trained(x).values() for x in (data, dataclasses.replace(data, **rest)))
    for name, x in one.items():
        numpy.testing.assert_array_equal(x, other[name])


@pytest.mark.parametrize("shape, levels", [((5, 3, 3), 256), ((1, 7, 1), 2)])
def test_there_is_a_classifier_of_any_labelled_images(monkeypatch, shape, levels):
    monkeypatch.setattr(classifier, "STEPS", 3)
    rng = numpy.random.default_rng(0)
    parts = {part: rng.integers(0, levels, (9, *shape)) for part in ("train", "validation", "test")}
    labels = {part: numpy.arange(9) % 3 for part in parts}
    data = dataclasses.replace(digits.load(), name="mine", levels=levels, labels=labels, **parts)
    seen = classifier.trained(data).seen(data.test)
    assert seen.features.shape == (9, 64) and seen.p.shape == (9, 3)


def test_images_without_classes_have_no_classifier():
    data = digits.load()
    same = {part: numpy.zeros_like(labels) for part, labels in data.labels.items()}
    assert classifier.trained(dataclasses.replace(data, labels=None)) is None
    assert classifier.trained(dataclasses.replace(data, labels=same)) is None


def test_the_classifier_is_kept_in_the_folder_and_not_learnt_again(monkeypatch, tmp_path):
    monkeypatch.setattr(classifier, "STEPS", 2)
    data = digits.load()
    made = ImageJudge(data, tmp_path).classifier.values()
    monkeypatch.setattr(classifier, "trained", None)
    kept = ImageJudge(data, tmp_path).classifier.values()
    for name, x in made.items():
        numpy.testing.assert_array_equal(x, kept[name])
    other = dataclasses.replace(data, labels={"train": numpy.arange(3)})
    with pytest.raises(RunError, match=r"classifier.safetensors is not of the images of digits"):
        ImageJudge(other, tmp_path)
    (tmp_path / "classifier.safetensors").write_bytes(b"half")
    with pytest.raises(RunError, match=r"classifier.safetensors .* is damaged .* or remove it"):
        ImageJudge(data, tmp_path)


# ------------------------------------------------------------------------------------- judgement


def test_better_draws_are_judged_better(judge, rng):
    data = digits.load()
    real, n = data.test, len(data.test)
    one_class = data.train[data.labels["train"] == 3]
    independent = rng.permuted(data.train.reshape(-1, 64), axis=0)[:n].reshape(real.shape)
    noise = rng.integers(0, 17, real.shape)
    found = [
        judge.judgement(real, fake).measures
        for fake in (data.validation, independent, noise, one_class, real[[7] * n], real[:1])
    ]
    good, blurred, bad, three, point, _ = found
    for measures in found:
        assert all(math.isfinite(x) for x in measures.values())
        assert measures["classifier_accuracy"] >= 0.97
    assert good["frechet"] < blurred["frechet"] / 3 < bad["frechet"] / 3
    assert good["precision"] > 0.8 and good["recall"] > 0.8 and good["inception_score"] > 8.5
    assert blurred["precision"] < 0.6 and bad["inception_score"] < 5
    assert three["recall"] < 0.3 < 0.7 < three["precision"] and three["inception_score"] < 1.5
    assert point["precision"] == 1 and point["recall"] == pytest.approx(1 / n)
    assert point["inception_score"] == pytest.approx(1)


def test_a_judgement_reads_as_one_sentence(judge):
    data = digits.load()
    words = judge.judgement(data.test, data.test)
    right = judge.classifier.seen(data.test).right(data.labels["test"])
    score = scores.inception_score(judge.classifier.seen(data.test).p)
    assert words.sentence(IMAGES) == (
        f"Fréchet distance 0.00, inception score {score:.2f} of 10, precision 1.00, recall 1.00"
    )
    assert words.count(IMAGES) == f"359 draws; classifier {right:.1%} right"
    same = judge.judgement(data.test, data.test[[0] * 5])
    assert same.count(IMAGES).startswith("5 draws; all the same; ")


def test_without_labels_it_says_that_there_is_no_classifier_and_compares_pixels():
    data = dataclasses.replace(digits.load(), labels=None)
    judge = ImageJudge(data)
    words = judge.judgement(data.test, data.validation)
    pixels = scores.frechet_distance(
        data.test.reshape(359, -1) / 16, data.validation.reshape(359, -1) / 16
    )
    assert words.measures["frechet"] == pytest.approx(pixels)
    assert words.sentence(IMAGES).startswith(f"Fréchet distance of pixels {pixels:.2f}, precision")
    assert words.count(IMAGES) == "359 draws; no classifier to judge by: the images have no classes"
    assert "inception_score" not in words.measures


# ------------------------------------------------------------------------------------------ runs

SMALL = {
    "gan": ("hidden=8", "epoch_steps=3", "epochs=2"),
    "gan-2d": ("hidden=8", "steps=20", "epoch_steps=10", "batch_size=16"),
}


def train(out, name, *changes, data=None, kept=None):
    if kept is not None:
        out.mkdir()
        shutil.copy(kept, out)
    output = io.StringIO()
    task = job.Job(name, [*SMALL[name], *changes], data=data, out=out, command="the command")
    folder = job.train(task, Console(file=output, width=200))
    return folder, output.getvalue().splitlines()


def lines(folder):
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


@pytest.fixture(scope="module")
def gan(tmp_path_factory, kept):
    return train(tmp_path_factory.mktemp("runs") / "gan", "gan", kept=kept)


@pytest.fixture(scope="module")
def points_gan(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs") / "points", "gan-2d")


def test_a_game_of_images_is_validated_by_the_frechet_distance_of_its_draws(gan, judge):
    folder, _ = gan
    *epochs, _ = lines(folder)
    data, model = digits.load(), Run.open(folder.path).model()
    draws = drawn(model, len(data.validation))
    assert draws.shape == data.validation.shape
    distance = judge.distance(data.validation, draws)
    assert epochs[-1]["validation_frechet"] == pytest.approx(distance, rel=1e-4)
    assert {"train_critic", "train_generator"} <= epochs[0].keys()
    assert not any("nats" in name or "bits" in name for name in epochs[0])


def test_a_game_of_images_ends_with_a_judgement(gan, judge):
    folder, output = gan
    test, compared, samples, _, _ = output[-5:]
    record = lines(folder)[-1]
    words = IMAGES.ready(Run.open(folder.path).model(), digits.load(), folder.path).judge(
        Run.open(folder.path).model(), digits.load(), "test"
    )
    assert test == f"test: {words.sentence(IMAGES)} ({words.count(IMAGES)}, weights of epoch 2)"
    assert record == {"epoch": 2, **{f"test_{name}": x for name, x in words.measures.items()}}
    data = digits.load()
    distance = judge.distance(data.test, data.validation)
    assert compared == (
        f"to compare: Fréchet distance {distance:.2f} of 359 images of the validation part"
    )
    assert samples.endswith("final.png")


def test_the_classifier_of_a_run_is_learnt_before_its_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 2)
    folder, _ = train(tmp_path / "a", "gan", "steps=1")
    values, metadata = checkpoint.load(folder.path / "classifier.safetensors")
    expected = classifier.trained(digits.load()).values()
    assert metadata == {"data": "digits"} and values.keys() == expected.keys()
    for name, x in expected.items():
        numpy.testing.assert_array_equal(values[name], x)


def test_evaluate_judges_any_part_and_says_so_in_json(gan, capsys):
    folder, output = gan
    command = ["evaluate", str(folder.path), "--backend", backend.current()]
    assert cli.main(command) == 0
    judged = capsys.readouterr().out.strip()
    assert output[-5].startswith(judged.removesuffix(")"))
    assert cli.main([*command, "--split", "validation", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["split"] == "validation" and found["draws"] == 359
    assert found["frechet"] == pytest.approx(lines(folder)[1]["validation_frechet"], rel=1e-5)
    assert all(isinstance(x, str | int | float) for x in found.values())
    assert cli.main([*command, "--importance-samples", "3"]) == 2
    assert "there is no likelihood to bound" in capsys.readouterr().err


def test_the_report_of_a_game_shows_the_measure_and_both_losses(gan, points_gan):
    for (folder, _), measure in ((gan, "frechet"), (points_gan, "wasserstein")):
        page = folder.report.read_text()
        for name in (measure, "critic", "generator"):
            assert f"<!-- {name} -->" in page
        assert "nats" not in page


def test_a_game_of_points_is_measured_by_exact_transport(points_gan):
    folder, output = points_gan
    _, last, test = lines(folder)
    data, model = points.load("eight-gaussians"), Run.open(folder.path).model()
    real, fake = data.test[:512], drawn(model, 512)
    distance = scores.wasserstein_distance(real, fake)
    assert test["test_wasserstein"] == distance and test["test_draws"] == 512
    toy = toys.find("eight-gaussians")
    modes = scores.modes_found(fake, backend.to_numpy(toy.centres), toy.sigma)
    assert (test["test_modes"], test["test_near_modes"]) == (modes.found, modes.share)
    said = next(line for line in output if line.startswith("test: "))
    assert said.startswith(
        f"test: Wasserstein distance {distance:.3f}, {modes.found} of 8 modes, {modes.share:.1%}"
    )
    assert said.endswith("of draws near one (512 draws, weights of epoch 2)")
    assert last["validation_wasserstein"] == scores.wasserstein_distance(
        data.validation[:512], fake
    )
    attained = scores.wasserstein_distance(real, data.validation[:512])
    expected = (
        f"to compare: Wasserstein distance {attained:.3f} of 512 points of the validation part"
    )
    assert expected in output


def test_few_points_of_ones_own_are_enough(tmp_path, rng):
    numpy.savez(tmp_path / "a.npz", points=rng.standard_normal((23, 3)))
    folder, output = train(tmp_path / "a", "gan-2d", data=str(tmp_path / "a.npz"))
    assert lines(folder)[-1].keys() == {"epoch", "test_wasserstein", "test_draws"}
    assert lines(folder)[-1]["test_draws"] == 4
    assert "of 4 points of the validation part" in "\n".join(output)


def test_a_step_takes_as_many_examples_as_the_critic_has_turns(gan):
    model = Run.open(gan[0].path).model()
    model.config = dataclasses.replace(model.config, critic_steps=5)
    feed = IMAGES.feed(model, digits.load(), 20)
    assert feed.batch_size == 100 and feed.batches == 11


def test_a_generator_that_is_told_classes_is_judged_by_draws_of_the_same_classes(
    kept, tmp_path, monkeypatch
):
    told, model = [], job.presets.find("gan").model
    sample = model.sample

    def listening(self, n, rng, context=None, temperature=1.0):
        if n != 64:  # those that are to be looked at
            told.append(backend.to_numpy(context))
        return sample(self, n, rng, context, temperature)

    monkeypatch.setattr(model, "sample", listening)
    train(tmp_path / "a", "gan", "classes=10", kept=kept)
    labels = digits.load().labels
    for found, part in zip(told, ("validation", "validation", "test"), strict=True):
        numpy.testing.assert_array_equal(found, labels[part])


def test_each_draw_is_given_its_own_label():
    class Echo:
        def sample(self, n, rng, context):
            return context + 0 * rng.random(n)

    labels = numpy.arange(1100)
    numpy.testing.assert_array_equal(drawn(Echo(), 1100, labels), labels)


def test_draws_are_the_same_every_time_and_not_the_same_as_one_another(points_gan):
    model = Run.open(points_gan[0].path).model()
    one, other = drawn(model, 1100), drawn(model, 1100)
    numpy.testing.assert_array_equal(one, other)
    assert len(numpy.unique(one, axis=0)) > 1000
    assert not all_the_same(one) and all_the_same(one[[0, 0]]) and not all_the_same(one[:1])


def collapsing(model, after):
    """The generator of a model whose draws are all the same once the file ``after`` has a line."""
    draws = model.draws

    def of_one_point(self, z, labels=None):
        return (0 if after.read_text() else 1) * draws(self, z, labels)

    return of_one_point


@pytest.mark.parametrize("name", ["gan", "gan-2d"])
def test_a_generator_that_collapses_stops_the_run_and_the_last_good_weights_are_kept(
    kept, tmp_path, monkeypatch, name
):
    path, preset = tmp_path / "a", job.presets.find(name)
    with monkeypatch.context() as patched:
        patched.setattr(preset.model, "draws", collapsing(preset.model, path / "metrics.jsonl"))
        with pytest.raises(RunError, match=r"collapsed to one point: all \d+ draws"):
            train(path, name, kept=kept)
        run = Run.open(path)
        medium = run.medium.ready(run.model(), run.data(), path)
        words = evaluate(run.model(), medium, run.data(), "test")
        assert "all the same" in words.count(medium)
        assert all(math.isfinite(x) for x in words.fields().values())
    (record,) = lines(run.folder)
    _, metadata = checkpoint.load(run.folder.checkpoint)
    _, state = checkpoint.load(run.folder.state)
    assert record["epoch"] == metadata["epoch"] == 1 and state["step"] == record["step"]


def test_a_generator_of_dead_units_has_collapsed(tmp_path):
    with pytest.raises(RunError, match=r"all 512 draws .*if an epoch ended before"):
        train(tmp_path / "a", "gan-2d", "learning_rate=30", "average=0", "loss=nonsaturating")


def test_draws_that_are_no_numbers_are_a_diverged_run(points_gan, tmp_path, monkeypatch):
    model = type(Run.open(points_gan[0].path).model())
    monkeypatch.setattr(
        model, "sample", lambda self, n, *_, **__: backend.asarray([[math.nan] * 2] * n)
    )
    with pytest.raises(RunError, match=r"the validation's wasserstein became nan"):
        train(tmp_path / "a", "gan-2d")

"""What must hold of every density of images, checked by enumerating small ones.

The model is any with ``config`` (height, width, colours, levels), ``log_prob`` and ``sample``.
"""

import itertools

import numpy
import scipy.special
import scipy.stats

import autograd.numpy as np
from autograd import Tensor, backend, no_grad


def randomised(model, seed=0, spread=0.7):
    """The model in float64 with random weights in every layer."""
    model.astype("float64")
    rng = numpy.random.default_rng(seed)
    for x in model.parameters().values():
        x[...] = backend.asarray(spread * rng.standard_normal(x.shape))
    return model


def opened(model):
    """The model with its weights made positive: every ReLU is open, and no two paths cancel."""
    for x in model.parameters().values():
        x[...] = np.abs(x.data)
    return model


def shape_of(model):
    return model.config.height, model.config.width, model.config.colours


def every_image(model):
    """All images (levels^d, H, W, colours), in the order of their numbers; see :func:`number`."""
    shape = shape_of(model)
    values = itertools.product(range(model.config.levels), repeat=int(numpy.prod(shape)))
    return numpy.array(list(values)).reshape(-1, *shape)


def number(model, images):
    """The place of each image among :func:`every_image`."""
    digits = numpy.asarray(images).reshape(len(images), -1)
    return digits @ model.config.levels ** numpy.arange(digits.shape[1])[::-1]


def log_prob(model, x, context=None):
    with no_grad():
        context = None if context is None else backend.asarray(context)
        return backend.to_numpy(model.log_prob(backend.asarray(x), context))


def probabilities(model, context=None):
    """p of every image."""
    return numpy.exp(log_prob(model, every_image(model), context))


def sample(model, n, seed=0, method="cached", **options):
    """Images drawn, on the host; arrays among the options are given on the host too."""
    on_device = {
        name: backend.asarray(x) if isinstance(x, numpy.ndarray) else x
        for name, x in options.items()
    }
    return backend.to_numpy(model.sample(n, backend.default_rng(seed), method, **on_device))


def assert_a_density_not_uniform(model, context=None):
    """Σ p = 1 over all images, and some image is three times likelier than all on average."""
    p = probabilities(model, context)
    numpy.testing.assert_allclose(p.sum(), 1, rtol=0, atol=1e-11)
    assert p.max() > 3 / len(p), "the model is uniform, and the sum shows nothing"


def assert_samples_follow(model, method, n=20_000, context=None):
    """χ² of samples against the enumerated probabilities, at the level 0.01 (seed fixed)."""
    images = sample(model, n, 0, method, context=context)
    assert_frequencies(number(model, images), probabilities(model, context))


def assert_completions_follow(model, method, known, n=4_000):
    """What is known is kept; the rest is drawn from its distribution given what is before it."""
    every = every_image(model)
    given = every[len(every) // 3]
    images = sample(model, n, 0, method, given=given, known=known)
    assert (images[:, known] == given[known]).all()
    fits = (every[:, known] == given[known]).all(1)
    p = numpy.where(fits, probabilities(model), 0)
    assert_frequencies(number(model, images), p / p.sum())


def assert_frequencies(found, p):
    """χ² of numbers drawn against their probabilities p, at the level 0.01.

    Those of which fewer than five are expected are taken together, for χ² is not χ² for them, and
    left out if five of all of them are not. What has no probability must not occur.
    """
    counts, expected = numpy.bincount(found, minlength=len(p)), len(found) * p
    assert not counts[p == 0].any()
    common = expected > 5
    assert common.sum() > 1, "nothing is left to chance, and the test shows nothing"
    rest = expected[~common].sum()
    counts = numpy.append(counts[common], counts[~common].sum() if rest > 5 else [])
    expected = numpy.append(expected[common], rest if rest > 5 else [])
    assert scipy.stats.chisquare(counts, expected, sum_check=False).pvalue > 0.01


def assert_cached_is_naive(model, n=20, **options):
    """The same random numbers give the same images both ways, and images of all levels."""
    cached, naive = (sample(model, n, 3, method, **options) for method in ("cached", "naive"))
    numpy.testing.assert_array_equal(cached, naive)
    assert len(numpy.unique(cached)) == model.config.levels
    assert cached.shape == (n, *shape_of(model))


def seen(function, x, place):
    """Which entries of x (1, …) the output ``function(x)[(0, *place)]`` has a gradient by."""
    x = Tensor(backend.asarray(x))
    np.sum(function(x)[(0, *place)]).backward()
    return backend.to_numpy(x.grad)[0] != 0


def assert_float32_and_every_parameter_learns(model, batch):
    """``model`` as it was made: all in float32; and with random weights: a gradient for each."""
    loss, metrics = model.loss(batch, backend.default_rng(0))
    loss.backward()
    assert loss.dtype == "float32"
    assert metrics["nats"].item() == loss.item()
    for name, x in model.parameters().items():
        assert x.dtype == "float32", name
        assert x.grad is not None and x.grad.dtype == "float32", name
    randomised(model, spread=0.3)
    model.loss(batch, None)[0].backward()
    for name, x in model.parameters().items():
        assert backend.to_numpy(x.grad).any(), name


def assert_completions_follow_the_order(model, method, known, n=4_000, temperature=1.0):
    """What is known is kept; each other value is drawn given those before it, and no later ones.

    For a model with ``network`` and ``embed``, of which p(x_i | before), i unknown, are multiplied.
    """
    every = every_image(model)
    given = every[len(every) // 3]
    options = {"given": given, "known": known, "temperature": temperature}
    images = sample(model, n, 0, method, **options)
    assert (images[:, known] == given[known]).all()
    fits = (every[:, known] == given[known]).all(1)
    with no_grad():
        logits = backend.to_numpy(model.network(model.embed(backend.asarray(every))))
    if logits.shape[-1] == 1:  # of level 1; that of level 0 is 0
        logits = numpy.concatenate([numpy.zeros_like(logits), logits], -1)
    p = scipy.special.softmax(logits / temperature, -1)
    p = numpy.take_along_axis(p, every[..., None], -1)[..., 0]
    p = numpy.where(fits, numpy.where(known, 1, p).prod((1, 2, 3)), 0)
    assert_frequencies(number(model, images), p)


def assert_dropout_acts_with_a_generator_only(model, n=5):
    """Two generators give two densities, and none a third; each of them always the same."""
    x = numpy.random.default_rng(0).integers(0, model.config.levels, (n, *shape_of(model)))

    def density(seed):
        with no_grad():
            return backend.to_numpy(
                model.log_prob(backend.asarray(x), rng=backend.default_rng(seed))
            )

    assert (density(0) != density(1)).all() and (density(0) != log_prob(model, x)).all()
    numpy.testing.assert_array_equal(density(0), density(0))
    numpy.testing.assert_array_equal(log_prob(model, x), log_prob(model, x))

"""What autoregressive models put out, and what is drawn from them: levels, texts, samples.

T. Salimans, A. Karpathy, X. Chen and D. P. Kingma (2017), "PixelCNN++"; A. Graves (2013),
"Generating sequences with recurrent neural networks".
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd import backend
from autograd.nn import one_hot, sigmoid, softmax
from scratchgen.derivations.claim import claim
from scratchgen.derivations.proof import Proof
from scratchgen.derivations.small_models import every_image, randomised, some_seed
from scratchgen.distributions import bernoulli, categorical, logistic, mixture, normal
from scratchgen.distributions import discretised_logistic_mixture as logistics
from scratchgen.distributions.temperature import tempered
from scratchgen.models.autoregressive.characters import CharacterConfig, CharacterModel
from scratchgen.models.autoregressive.fvbn import FVBN, FVBNConfig
from scratchgen.models.autoregressive.gatedpixelcnn import GatedPixelCNN, GatedPixelCNNConfig
from scratchgen.models.autoregressive.made import MADE, MADEConfig
from scratchgen.models.autoregressive.nade import NADE, NADEConfig
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.models.autoregressive.wavenet import WaveNet, WaveNetConfig

# ------------------------------------------------------------------------------ logistic mixtures


@claim(
    section="autoregressive",
    statement=r"P(x) = \sigma \left( \frac{v + \delta - \mu}{s} \right)"
    r" - \sigma \left( \frac{v - \delta - \mu}{s} \right)"
    "\n" + r"\sum_{x=0}^{L-1} P(x) = \sigma(\infty) - \sigma(-\infty) = 1",
    says="The bins of a discretised logistic add up to one, as the outer two have no outer edge.",
    source="Salimans et al., §2.1 and eq. 2",
    method="enumeration",
    wrong={
        "outer bins as wide as the others": {"outermost": 1.0},
        "the density at the level times the width": {
            "probability": lambda a, b: (b - a) * sigmoid((a + b) / 2) * sigmoid(-(a + b) / 2),
            "outermost": 1.0,
        },
    },
)
def the_bins_of_a_discretised_logistic_add_up_to_one(
    proof: Proof,
    *,
    outermost=math.inf,
    probability=lambda a, b: sigmoid(b) - sigmoid(a),
) -> None:
    """Level x stands for v = 2x / (L − 1) − 1 and for the bin from v − δ to v + δ, δ = 1 / (L − 1).

    Neighbours share an edge, so Σ_x σ(b_x) − σ(a_x) is a telescope: what is left is σ at the upper
    edge of the last bin minus σ at the lower edge of the first. These are ∞ and −∞.
    """
    levels, count = 16, 5
    mean = 2 * proof.rng.random((count, 1)) - 1
    log_scale = -proof.rng.random((count, 1)) - 0.5
    x = np.arange(levels)
    lower = np.where(x == 0, -outermost, (2 * x - 1) / (levels - 1) - 1)
    upper = np.where(x == levels - 1, outermost, (2 * x + 1) / (levels - 1) - 1)
    if outermost == 1.0:  # half a bin beyond the outermost levels
        lower, upper = (2 * x - 1) / (levels - 1) - 1, (2 * x + 1) / (levels - 1) - 1
    scale = np.exp(log_scale)
    bins = probability((lower - mean) / scale, (upper - mean) / scale)
    proof.step("P(x), the first logistic", bins[0])
    ours = np.exp(logistics.component_log_prob(mean, log_scale, x, levels))
    # σ is at most 1 and has the slope ¼; edges are rounded 4 times, up to 2/s = 2 e^1.5 in size
    proof.equal("P(x)", ours, bins, rounding=4 + 4 * 9, scale=1.0)
    total = np.sum(bins, axis=1)
    proof.equal("Σ P(x)", total, np.ones(count), rounding=levels + 8, scale=1.0)
    # logarithms down to −20, which the exponential makes relative errors
    proof.equal("Σ exp ln P(x)", np.sum(ours, axis=1), 1.0, rounding=levels + 20)


def _one_choice(logits: Any, parts: Any) -> Any:
    """Σ_k π_k Π_c p_c(x | k), of ln p_c (…, K, 3)."""
    return np.sum(softmax(logits) * np.exp(np.sum(parts, axis=-1)), axis=-1)


def _a_choice_each(logits: Any, parts: Any) -> Any:
    return np.prod(np.sum(softmax(logits)[..., None] * np.exp(parts), axis=-2), axis=-1)


def _moved(mean: Any, coefficients: Any, v: Any) -> Any:
    """The means of the three colours (…, K, 3), given the colours before."""
    red, green = v[:, None, 0], v[:, None, 1]
    a, b, c = (coefficients[:, i] for i in range(3))
    zero = 0 * red
    return mean + np.stack([zero + 0 * a, a * red, b * red + c * green], axis=-1)


@claim(
    section="autoregressive",
    statement=r"p(r, g, b) = \sum_k \pi_k\, p_k(r)\, p_k(g \mid r)\, p_k(b \mid r, g)"
    "\n" + r"\sum_{r, g, b} p(r, g, b) = 1",
    says="A pixel chooses one component for its three colours, and the next depends on the last.",
    source="Salimans et al., §2.2 and eq. 3",
    method="enumeration",
    wrong={
        "a component chosen for each colour": {"mixed": _a_choice_each},
        "colours independent given the component": {"moved": lambda mean, *_: mean},
    },
)
def a_pixel_is_a_mixture_of_logistics(proof: Proof, *, mixed=_one_choice, moved=_moved) -> None:
    """Given the component k, the chain rule in the order red, green, blue, with a discretised
    logistic each, whose mean is moved by the colours before:

    µ_r,     µ_g + α r,     µ_b + β r + γ g

    Sum over b first: Σ_b p_k(b | r, g) = 1 whatever its mean is. Then over g, r and k.
    """
    levels, count = 4, 3
    x = every_image(3, levels=levels)
    logits = np.broadcast_to(proof.rng.standard_normal((count,)), (len(x), count))
    mean, log_scale, noise = (proof.rng.standard_normal((count, 3)) / 2 for _ in range(3))
    coefficients = 0.5 + 0.5 * np.tanh(noise)
    m, s, c = (np.broadcast_to(a, (len(x), count, 3)) for a in (mean, log_scale, coefficients))
    ours = np.exp(logistics.log_prob_rgb(logits, m, s, c, x, levels))
    means = moved(mean, coefficients, x * (2 / (levels - 1)) - 1)
    parts = logistics.component_log_prob(means, log_scale, x[:, None, :], levels)
    # three logarithms down to −20 each in the exponent, K terms
    rounding = 3 * 20 + count
    proof.equal("p(r, g, b)", ours, mixed(logits, parts), rounding=rounding)
    proof.equal("Σ p(r, g, b)", np.sum(ours), 1.0, rounding=rounding + len(x))


@claim(
    section="autoregressive",
    statement=r"\int \sum_k \pi_k\, \mathcal{N}(x; \mu_k, \sigma_k^2)\, dx = 1,"
    r"\quad \mathbb{E}\, x = \sum_k \pi_k \mu_k",
    says="A mixture of densities is a density, and its mean the mixture of theirs.",
    source="C. M. Bishop (1994), Mixture density networks",
    method="quadrature",
    wrong={
        "logarithms mixed": {
            "log_density": lambda logits, parts: np.sum(softmax(logits) * parts, axis=-1)
        },
        "weights not normalised": {
            "log_density": lambda logits, parts: (
                mixture.log_prob(logits, parts) + np.log(np.sum(np.exp(logits)))
            )
        },
    },
)
def a_mixture_of_densities_is_a_density(proof: Proof, *, log_density=mixture.log_prob) -> None:
    """∫ Σ_k π_k p_k = Σ_k π_k ∫ p_k = Σ_k π_k = 1, and ∫ x Σ_k π_k p_k = Σ_k π_k µ_k.

    The trapezoidal rule of step h is off by 2 exp(−2 π² σ² / h²) for a normal density (Poisson's
    formula), which for h = σ / 4 is below every rounding error, and by what lies beyond its ends.
    """
    logits = np.array([0.5, -1.0, 1.0])
    mean = proof.rng.standard_normal((3,))
    log_std = -proof.rng.random((3,)) - 0.2
    h = 0.05
    x = h * np.arange(-300, 301)
    parts = normal.log_prob(mean, log_std, x[:, None])
    p = np.exp(log_density(logits, parts))
    proof.step("Σ h p(x_i)", h * np.sum(p))
    # pairs added: log₂ 601 levels; the logarithms of what counts are below 40 in size
    rounding = 10 + 40
    proof.equal("∫ p(x) dx", h * np.sum(p), 1.0, rounding=rounding)
    middle = np.sum(softmax(logits) * mean)
    size = h * np.sum(np.abs(x) * p)
    proof.equal("∫ x p(x) dx", h * np.sum(x * p), middle, rounding=rounding, scale=size)


# ------------------------------------------------------------------------------------------ texts

CHARACTERS, LENGTH = 5, 9


def _characters(rng: Any, window: int = 4) -> CharacterModel:
    config = CharacterConfig(characters=CHARACTERS, layers=2, width=3, embedding=2, window=window)
    return randomised(CharacterModel(config, rng), rng, spread=0.8)


@claim(
    section="autoregressive",
    statement=r"\ln p(x) = \sum_{t=1}^{T} \ln p(x_t \mid x_{<t})",
    says="Fed with the true text, one pass gives the logarithms of all conditionals at once.",
    source="Graves, eq. 6; R. Williams and D. Zipser (1989)",
    method="step by step",
    wrong={
        "the character read is the one predicted": {"known": lambda x, t: x[:, 1 : t + 1]},
        "the state not carried on": {"known": lambda x, t: x[:, max(t - 1, 0) : t]},
    },
)
def teacher_forcing_adds_up_conditionals(proof: Proof, *, known=lambda x, t: x[:, :t]) -> None:
    """The state before x_t is a function of x_1, …, x_{t−1} alone, whatever was predicted there.

    Left one pass over the whole text, in windows that hand on the state; right each conditional by
    a pass of its own, from the beginning: O(T²) steps. The wrong variants read what comes next, and
    the last character only.
    """
    model = _characters(proof.rng)
    x = proof.rng.integers(0, CHARACTERS, (4, LENGTH))
    nothing = np.full((4, 1), model.nothing)
    total = np.zeros(4)
    for t in range(LENGTH):
        read = np.concatenate([nothing, known(x, t)], axis=1)
        logits, _ = model.read(read, model.start(4))
        total = total + categorical.log_prob(logits[:, -1], x[:, t])
    proof.step("ln p(x)", total)
    # of a step two layers of sums of 7 products and 4 functions, which gates below 1 hand on; T
    # logarithms
    rounding = LENGTH * 2 * (7 + 4) + LENGTH
    proof.equal("ln p(x) in one pass", model.log_prob(x), total, rounding=rounding)


@claim(
    section="autoregressive",
    statement=r"\mathrm{perplexity} = \exp \left( -\frac{1}{T} \ln p(x) \right)"
    "\n" + r"\quad = \left( \prod_t \frac{1}{p(x_t \mid x_{<t})} \right)^{1/T}",
    says="Perplexity is the geometric mean of 1/p: of how many equal choices each character is.",
    source="F. Jelinek, R. Mercer, L. Bahl and J. Baker (1977), Perplexity",
    method="step by step",
    wrong={
        "2 to the power of nats": {"power": lambda nats: 2**nats},
        "the arithmetic mean of 1/p": {"average": lambda inverse: np.mean(inverse)},
        "exp of the whole text's nats": {"power": lambda nats: np.exp(LENGTH * nats)},
    },
)
def perplexity_is_exp_of_nats(
    proof: Proof,
    *,
    power=np.exp,
    average=lambda inverse: np.prod(inverse) ** (1 / inverse.size),
) -> None:
    """exp of a mean of logarithms is a geometric mean:

    exp (−1/T Σ_t ln p(x_t | x_<t)) = Π_t p(x_t | x_<t)^(−1/T)

    A model that gives each of K characters 1/K has the perplexity K. The loss is in nats per
    character, so it is e, and not 2, that is raised to its power.
    """
    model = _characters(proof.rng, window=LENGTH)
    x = proof.rng.integers(0, CHARACTERS, (1, LENGTH))
    previous = np.concatenate([np.full((1, 1), model.nothing), x[:, :-1]], axis=1)
    nats = model.loss((previous, x, model.start(1)), None)[0]
    logits, _ = model.read(previous, model.start(1))
    p = np.take_along_axis(softmax(logits), x[..., None], axis=-1).reshape(-1)
    proof.step("p(x_t | x_<t)", p)
    # a softmax of K terms, T products and a power
    rounding = 2 * (CHARACTERS + 4) + LENGTH + 4
    proof.equal("exp(nats)", power(nats), average(1 / p), rounding=rounding)
    equal = np.zeros((LENGTH, CHARACTERS))
    uniform = -np.mean(categorical.log_prob(equal, x[0]))
    proof.equal("of K equal choices", power(uniform), CHARACTERS, rounding=rounding)


# ---------------------------------------------------------------------------------------- samples


def _samplers(rng: Any) -> dict[str, Any]:
    size: dict[str, Any] = {"height": 3, "width": 3}
    bits: dict[str, Any] = {**size, "levels": 2, "order": "random", "order_seed": some_seed(rng)}
    return {
        "FVBN": FVBN(FVBNConfig(**bits), rng),
        "NADE": NADE(NADEConfig(**bits, hidden=4), rng),
        "MADE": MADE(MADEConfig(**bits, hidden=10, layers=2, masks=2), rng),
        "PixelCNN": PixelCNN(PixelCNNConfig(**size, levels=4, channels=4, blocks=1), rng),
        "gated PixelCNN": GatedPixelCNN(
            GatedPixelCNNConfig(**size, levels=4, channels=4, layers=1), rng
        ),
        "WaveNet": WaveNet(
            WaveNetConfig(levels=4, stacks=1, layers=3, residual=3, skip=4, window=8), rng
        ),
        "LSTM": CharacterModel(CharacterConfig(characters=4, width=4, embedding=3), rng),
    }


def _drawn(model: Any, method: str, seed: int) -> Any:
    """Eight samples, from random numbers that ``seed`` determines."""
    sequences = isinstance(model, WaveNet | CharacterModel)
    more = {"length": 12} if sequences else {}
    return model.sample(8, backend.default_rng(seed), method=method, **more)


@claim(
    section="autoregressive",
    statement=r"x_t = F^{-1}(u_t \mid x_{<t})",
    says="What is kept of earlier steps changes how long sampling takes, and no sample.",
    source="T. L. Paine et al. (2016); P. Ramachandran et al. (2017), Fast generation",
    method="step by step",
    wrong={"other random numbers": {"shift": 1}},
)
def cached_sampling_draws_the_same(proof: Proof, *, shift=0) -> None:
    """A draw of x_t is a function of a uniform number u_t and of p(x_t | x_<t).

    So with the same u_1, …, u_T a way that computes each conditional by the whole network, and one
    that keeps what earlier steps have found, must give the same x, value by value: if x_<t are the
    same, then so are p(x_t | x_<t), but for rounding, and x_t. It is only where u_t lies within ε
    of an edge that it could be otherwise.
    """
    seed = some_seed(proof.rng)
    for name, model in _samplers(proof.rng).items():
        model = randomised(model, proof.rng)
        naive, cached = _drawn(model, "naive", seed), _drawn(model, "cached", seed + shift)
        proof.equal(f"drawn by {name}", cached, naive, rounding=0)


DRAWS = 20_000


@claim(
    section="autoregressive",
    statement=r"u \sim U(0, 1), \; X = F^{-1}(u): \quad P(X \leq x) = F(x)"
    "\n" + r"X\ \mathrm{logistic}: \quad \mathbb{E}[-\ln p(X)] = \ln s + 2",
    says="What is drawn is as frequent as its log-probability says, for each kind of value.",
    source="L. Devroye (1986), Non-uniform random variate generation, ch. II",
    method="Monte Carlo",
    wrong={
        "drawn at twice the temperature": {"temperature": 2.0},
        "the entropy of a normal number": {"entropy": normal.entropy},
    },
)
def draws_are_as_frequent_as_they_are_probable(
    proof: Proof, *, temperature=1.0, entropy=logistic.entropy
) -> None:
    """Let F⁻¹(u) be the least x with F(x) ≥ u. It is at most x where u ≤ F(x), for which the
    chances are F(x). Hence a bit is 1 where u < σ(l), and a class the first one up to which the
    probabilities add up to u.

    For F = σ((x − µ) / s) that is x = µ + s ln (u / (1 − u)), whose −ln p(x) = ln s − ln u −
    ln (1 − u) has the mean ln s + 2, as E ln u = −1. A level is drawn as that number's nearest, and
    a pixel as three of them, each of which moves the mean of the next.
    """

    def alike(values: Any) -> Any:
        return np.broadcast_to(values, (DRAWS, *values.shape))

    rng, bits, classes = proof.rng, np.array([-0.7, 1.2]), np.array([1.0, 0.0, -1.0])
    drawn = bernoulli.sample(alike(bits), rng, temperature=temperature)
    likely = np.exp(bernoulli.log_prob(bits, np.ones(2)))
    proof.mean("bits", drawn.astype("float64"), likely)
    drawn = categorical.sample(alike(classes), rng, temperature=temperature)
    proof.mean("classes", one_hot(drawn, 3, "float64"), softmax(classes))
    mean, log_scale, places = np.array(0.5), np.array(-1.2), np.array([0.0, 0.5, 1.2])
    x = logistic.sample(alike(mean), log_scale, rng)
    below = sigmoid((places - mean) * np.exp(-log_scale))
    proof.mean("logistic numbers ≤ t", (x[:, None] <= places).astype("float64"), below)
    surprise = -logistic.log_prob(mean, log_scale, x)
    proof.mean("−ln p of logistic numbers", surprise, entropy(log_scale))
    logits, mean = np.array([0.5, -0.5]), 0.4 * np.array([[1.0, -1.0, 0.5], [-1.0, 0.0, -0.5]])
    scale, moved = 0 * mean - 0.3, np.array([[0.8, -0.6, 0.4], [-0.8, 0.6, 0.7]])
    w, m, s, c = (alike(a) for a in (logits, mean, scale, moved))
    drawn = logistics.sample_rgb(w, m, s, c, rng, 2, temperature=temperature)
    number = np.sum(drawn * np.array([4, 2, 1]), axis=1)
    likely = np.exp(logistics.log_prob_rgb(w[:8], m[:8], s[:8], c[:8], every_image(3), 2))
    proof.mean("pixels", one_hot(number, 8, "float64"), likely)


def _each(x_1: Any, x_2: Any, power: float) -> Any:
    """p(x_1) and p(x_2 | x_1) raised to that power, and normalised each."""
    first, second = x_1**power, x_2**power
    return first / np.sum(first) * (second / np.sum(second, axis=1, keepdims=True))


def _jointly(x_1: Any, x_2: Any, power: float) -> Any:
    joint = (x_1 * x_2) ** power
    return joint / np.sum(joint)


@claim(
    section="autoregressive",
    statement=r"p_\tau(x) = \prod_t \frac{p(x_t \mid x_{<t})^{1 / \tau}}{Z(x_{<t})}"
    r"\; \neq\; \frac{p(x)^{1 / \tau}}{Z}",
    says="To sharpen each conditional by a temperature is not to sharpen the joint alike.",
    source="D. Ackley, G. Hinton and T. Sejnowski (1985), of one choice",
    method="enumeration",
    wrong={
        "as if the joint were sharpened": {"sharpened": _jointly},
        "probabilities divided, not logits": {"sharpened": lambda x_1, x_2, _: x_1 * x_2},
    },
)
def a_temperature_acts_on_each_conditional(proof: Proof, *, sharpened=_each) -> None:
    """Dividing the logits l by τ gives exp(l_k / τ) / Σ_j exp(l_j / τ) = p_k^(1/τ) / Σ_j p_j^(1/τ).

    Of two values the product of these is p(x_1)^(1/τ) p(x_2 | x_1)^(1/τ) / (Z · Z(x_1)), with a
    Z(x_1) of its own for each x_1. The joint p(x)^(1/τ) / Z has one for all: there an x_1 after
    which many x_2 are about as likely is rarer.
    """
    tau, p = 0.5, np.array([[0.25, 0.25], [0.05, 0.45]])
    x_1 = np.sum(p, axis=1, keepdims=True)
    logits = np.log(x_1[:, 0]), np.log(p / x_1)
    ours = softmax(tempered(logits[0], tau))[:, None] * softmax(tempered(logits[1], tau))
    proof.step("each sharpened", ours)
    proof.step("the joint sharpened", _jointly(x_1, p / x_1, 1 / tau))
    # logarithms below 3 that are doubled, exponentials, sums of 2 and products
    proof.equal("p_τ(x)", ours, sharpened(x_1, p / x_1, 1 / tau), rounding=2 * 3 + 6, scale=1.0)
    apart = np.max(np.abs(ours - _jointly(x_1, p / x_1, 1 / tau)))
    # after x_1 = 2 the last value has ½ · 0.45² / 0.205 = 0.494 or 0.45² / 0.33 = 0.614
    proof.differ("of the joint", apart, 0.0, by=0.1)

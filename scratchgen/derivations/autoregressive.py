"""Autoregressive models: a joint distribution as a product of conditional ones.

B. J. Frey (1998), "Graphical models for machine learning and digital communication";
H. Larochelle and I. Murray (2011), "The neural autoregressive distribution estimator"; A. van den
Oord, N. Kalchbrenner and K. Kavukcuoglu (2016), "Pixel recurrent neural networks".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import autograd.numpy as np
from autograd import jacobian
from autograd.nn import sigmoid, softmax
from scratchgen.derivations.claim import claim
from scratchgen.derivations.discrete import distribution
from scratchgen.derivations.proof import Proof
from scratchgen.derivations.small_models import every_image, randomised, some_seed
from scratchgen.distributions import bernoulli
from scratchgen.metrics import bits_per_dimension, uniform_nats
from scratchgen.models.autoregressive.fvbn import FVBN, FVBNConfig
from scratchgen.models.autoregressive.made import MADE, MADEConfig
from scratchgen.models.autoregressive.nade import NADE, NADEConfig
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.models.images import log_prob_of

SHAPE = (4, 2, 3)
"""Of the random joint tables: numbers of values of x_1, x_2 and x_3."""


# -------------------------------------------------------------------------------- the chain rule


def marginal(joint: Any, kept: Sequence[int]) -> Any:
    """p of the variables ``kept``, with axes of length 1 for the others."""
    others = tuple(i for i in range(joint.ndim) if i not in kept)
    return np.sum(joint, axis=others, keepdims=True)


def conditional(joint: Any, i: int, given: Sequence[int]) -> Any:
    """p(x_i | x of ``given``), with axes of length 1 for the variables of neither."""
    return marginal(joint, [*given, i]) / marginal(joint, given)


def _reversed_bayes(joint: Any, i: int, given: Sequence[int]) -> Any:
    return marginal(joint, [*given, i]) / marginal(joint, [i])


@claim(
    section="autoregressive",
    statement=r"p(x) = \prod_{i=1}^{n} p(x_i \mid x_{<i})",
    says="Any joint distribution is a product of conditional ones, with nothing assumed.",
    source="van den Oord et al., eq. 1",
    method="enumeration",
    wrong={
        "each given the one before it only": {"before": lambda i: [i - 1] if i else []},
        "all independent": {"before": lambda i: []},
    },
)
def the_chain_rule_factorises_any_joint(proof: Proof, *, before=lambda i: list(range(i))) -> None:
    """By definition p(x_i | x_<i) = p(x_1, …, x_i) / p(x_1, …, x_{i−1}). In the product

    p(x_1) · p(x_1, x_2) / p(x_1) · p(x_1, x_2, x_3) / p(x_1, x_2)

    each numerator cancels against the next denominator, and the last one is left.
    """
    joint = distribution(proof.rng, *SHAPE)
    first, second, third = (conditional(joint, i, before(i)) for i in range(3))
    proof.step("p(x_1)", first.reshape(-1))
    # of each factor two sums of all cells at most and a quotient, and two products
    proof.equal("p(x_1) p(x_2 | x_1) …", first * second * third, joint, rounding=3 * 2 * 24 + 5)


@claim(
    section="autoregressive",
    statement=r"p(x) = \prod_t p(x_{o_t} \mid x_{o_1}, \ldots, x_{o_{t-1}})"
    "\n" + r"\mathrm{for\ every\ order}\ o",
    says="The order of the factors changes each of them, and their product not at all.",
    source="B. Uria, I. Murray and H. Larochelle (2014), A deep and tractable density estimator",
    method="enumeration",
    wrong={"the condition taken for the value": {"factor": _reversed_bayes}},
)
def the_order_does_not_matter_for_the_joint(proof: Proof, *, factor=conditional) -> None:
    """The chain rule holds for the variables under any names. With n = 3 there are six orders:

    p(x_1) p(x_2 | x_1) p(x_3 | x_1, x_2) = p(x_3) p(x_1 | x_3) p(x_2 | x_1, x_3) = …

    It is only where conditionals are approximated that one order may do better than another.
    """
    joint = distribution(proof.rng, *SHAPE)
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (2, 0, 1), (0, 2, 1)):
        product = np.ones(())
        for t, i in enumerate(order):
            product = product * factor(joint, i, order[:t])
        name = ", ".join(f"x_{i + 1}" for i in order)
        # as in the chain rule
        proof.equal(f"in the order {name}", product, joint, rounding=3 * 2 * 24 + 5)


@claim(
    section="autoregressive",
    statement=r"\mathrm{table:}\ 2^n - 1, \quad \mathrm{sigmoids:}\ n (n + 1) / 2",
    says="A table of n bits has 2ⁿ − 1 free numbers, n logistic regressions have n(n + 1)/2.",
    source="Lecture example; Frey, fully visible belief networks",
    method="Jacobian",
    wrong={
        "a weight from each value to itself": {"sigmoids": lambda n: n * (n + 1) // 2 + n},
        "weights both ways": {"sigmoids": lambda n: n * n},
        "a number for each row of the table": {"table": lambda n: 2**n},
    },
)
def sigmoids_need_few_numbers(
    proof: Proof,
    *,
    sigmoids=lambda n: n * (n + 1) // 2,
    table=lambda n: 2**n - 1,
) -> None:
    """A table has 2ⁿ probabilities, of which the last follows from the rest, as they sum to 1.

    The i-th logistic regression has a bias and i − 1 weights: Σ i = n (n + 1) / 2 in all.

    How many numbers a family of distributions has is in how many directions p can move: the rank of
    the Jacobian of (p(x))_x by all parameters.
    """
    n = 4
    model = randomised(FVBN(FVBNConfig(height=1, width=n), proof.rng), proof.rng)
    images, sizes = every_image(n).astype("float64"), n * n

    def fvbn(numbers: Any) -> Any:
        weight, bias = numbers[:sizes].reshape(n, n), numbers[sizes:]
        logits = np.matmul(images, weight * model.mask) + bias
        return np.exp(np.sum(bernoulli.log_prob(logits, images), axis=-1))

    regressions = model.regressions
    own = np.concatenate([regressions.weight.data.reshape(-1), regressions.bias.data])
    logits = proof.rng.standard_normal((2**n,))
    for what, matrix, count in (
        ("rank, table", jacobian(softmax)(logits), table(n)),
        ("rank, sigmoids", jacobian(fvbn)(own), sigmoids(n)),
    ):
        singular = np.linalg.svd(matrix, compute_uv=False)
        # what is 0 on paper is of the size of the largest one's rounding
        rank = np.sum(singular > 1e-12 * singular[0])
        proof.equal(what, rank, count, rounding=0)
    proof.equal("weights that count", np.sum(model.mask) + n, sigmoids(n), rounding=0)


# ------------------------------------------------------------------------------------- the models


def _models(rng: Any) -> dict[str, Any]:
    """One of each kind, of images of 2 × 3 bits."""
    size: dict[str, Any] = {"height": 2, "width": 3, "levels": 2}
    seed = some_seed(rng)
    fvbn = FVBN(FVBNConfig(**size, order="random", order_seed=seed), rng)
    nade = NADE(NADEConfig(**size, hidden=5, order="random", order_seed=seed), rng)
    made = MADEConfig(**size, hidden=8, layers=2, masks=1, order="random", order_seed=seed)
    pixels = PixelCNN(PixelCNNConfig(**size, channels=4, blocks=2, first_size=3), rng)
    return {"FVBN": fvbn, "NADE": nade, "MADE": MADE(made, rng), "PixelCNN": pixels}


def _summed(log_p: Any) -> Any:
    return np.sum(log_p, axis=(1, 2, 3))


@claim(
    section="autoregressive",
    statement=r"\sum_x \prod_i p(x_i \mid x_{<i}) = 1",
    says="Whatever the weights are, the probabilities of all images add up to one.",
    source="Frey; van den Oord et al., eq. 1",
    method="enumeration",
    wrong={
        "the image read backwards, the masks as they were": {"read": lambda x: x[:, ::-1, ::-1]},
        "the mean of the logarithms": {"total": lambda log_p: np.mean(log_p, axis=(1, 2, 3))},
    },
)
def conditionals_make_a_normalised_joint(proof: Proof, *, read=lambda x: x, total=_summed) -> None:
    """Sum over the last value first. Nothing but its own factor depends on it:

    Σ_{x_1 … x_n} Π_i p(x_i | x_<i) = Σ_{x_1 … x_{n−1}} Π_{i<n} p(x_i | x_<i) · Σ_{x_n} p(x_n | …)

    where the last sum is 1; and so on, down to Σ p(x_1) = 1. It takes that no factor depends on its
    own value or a later one, which is what masks are there for; no constant is to be found.
    """
    images = every_image(2, 3, 1)
    for name, model in _models(proof.rng).items():
        model = randomised(model, proof.rng)
        logits = model.network(model.embed(read(images)))
        log_p = total(log_prob_of(logits, images))
        # of 6 values 3 layers of about 10 products, turned into a relative error of p; 64 terms
        proof.equal(f"Σ p(x), {name}", np.sum(np.exp(log_p)), 1.0, rounding=6 * 3 * 10 + 64)


@claim(
    section="autoregressive",
    statement=r"h_i = \sigma \left( c + \sum_{j<i} W_j x_j \right),"
    r"\quad a_{i+1} = a_i + W_i x_i",
    says="NADE's hidden layers follow from one another, each by one addition.",
    source="Larochelle & Murray, algorithm 1",
    method="step by step",
    wrong={
        "the layer sees its own value": {"seen": lambda i: i + 1},
        "the layer lacks the value before it": {"seen": lambda i: max(i - 1, 0)},
    },
)
def nade_shares_its_sums(proof: Proof, *, seen=lambda i: i) -> None:
    """The hidden layer of the i-th value is, on its own, H sums of i − 1 terms:

    h_i = σ(a_i),   a_i = c + Σ_{j<i} W_j x_j         O(D² H) for all

    As W is shared, a_{i+1} − a_i = W_i x_i: a running sum, of O(D H) operations. Left the model's
    logits by running sums, right each by a sum of its own.
    """
    d, hidden = 6, 5
    config = NADEConfig(height=1, width=d, hidden=hidden)
    model = randomised(NADE(config, proof.rng), proof.rng)
    x = every_image(d).astype("float64")
    logits = []
    for i in range(d):
        a = model.hidden_bias + np.matmul(x[:, : seen(i)], model.inputs[: seen(i)])
        logits.append(np.matmul(sigmoid(a), model.outputs[i]) + model.bias[i])
    size = np.sum(np.abs(model.outputs)) + np.max(np.abs(model.bias))
    # a of D + 1 terms, below 1 each, halved at least by the slope of σ; then a sum of H products
    rounding = d + 4 + hidden
    direct = np.stack(logits, axis=-1)
    proof.equal("logits by running sums", model.logits(x), direct, rounding=rounding, scale=size)


# ----------------------------------------------------------------------------------------- units

LN_2 = math.log(2)


@claim(
    section="autoregressive",
    statement=r"-\frac{1}{d} \log_2 P(x) = \frac{-\ln P(x)}{d \ln 2}",
    says="Bits per dimension are nats divided by the numbers of an image and by ln 2.",
    source="van den Oord et al., §5.1",
    method="enumeration",
    wrong={
        "nats for bits": {"unit": 1.0},
        "multiplied by ln 2": {"unit": 1 / math.log(2)},
        "pixels counted, not their colours": {"colours": 1},
    },
)
def bits_per_dimension_are_nats_over_d_ln_two(proof: Proof, *, unit=LN_2, colours=3) -> None:
    """log₂ P = ln P / ln 2. A code of −log₂ P(x) bits for the image takes that by d of each number.

    Where all images of 8 bits are as likely, P = 256^−d, that is 8 bits, whatever d. For a model of
    six bits the bits of the product are added up as they are, −Σ log₂ p(x_i | x_<i).
    """
    shape = (4, 5, 3)
    nats, d = uniform_nats(shape, 256), 4 * 5 * colours
    proof.step("nats of a uniform image", nats)
    proof.equal("uniform, 256 levels", nats / (d * unit), 8.0, rounding=8)
    model = randomised(FVBN(FVBNConfig(height=2, width=3), proof.rng), proof.rng)
    x = every_image(2, 3, 1)
    logits = model.logits(model.embed(x))
    p = sigmoid(np.where(x.reshape(-1, 6) == 1, logits, -logits))
    bits = -np.sum(np.log2(p), axis=1) / 6
    # six logarithms and sums; the sigmoid's argument is a sum of 6 products
    rounding = 6 * (6 + 4)
    proof.equal("nats / (d ln 2)", -model.log_prob(x) / (6 * unit), bits, rounding=rounding)
    found = bits_per_dimension(nats, d)
    proof.equal("bits_per_dimension(nats, d)", found, nats / (d * unit), rounding=4)

"""Information theory: information content, entropy, and what one variable tells about another.

C. E. Shannon (1948), "A mathematical theory of communication"; T. M. Cover and J. A. Thomas (2006),
"Elements of information theory".
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from scratchgen.derivations.claim import claim
from scratchgen.derivations.discrete import (
    conditional_entropy,
    distribution,
    entropy,
    kl,
    mutual_information,
    roundings,
)
from scratchgen.derivations.proof import Proof
from scratchgen.distributions import normal


@claim(
    section="information",
    statement=r"H(X) = -\sum_{x=1}^{6} \frac{1}{6} \log_2 \frac{1}{6} = \log_2 6 \approx 2.585",
    says="A throw of a fair die carries 2.585 bits.",
    source="Lecture example; Shannon, §6",
    method="closed form",
    wrong={"nats taken for bits": {"log": math.log}},
)
def a_die_carries_log_six_bits(proof: Proof, *, log=math.log2) -> None:
    """An outcome of probability p carries −log₂ p bits: each side of the die −log₂ ⅙ = log₂ 6.

    The entropy is the mean of that over the outcomes. As all carry the same, it is the same. One
    bit is ln 2 nats.
    """
    die, bits = np.full(6, 1 / 6), log(6)
    # ln 2, of which entropies have to be divided, adds 2 roundings
    proof.equal("−log₂ ⅙", -np.log2(die), bits, rounding=4)
    proof.equal("H(X)", entropy(die) / math.log(2), bits, rounding=roundings(6) + 2)


@claim(
    section="information",
    statement=r"H(p) = \ln K - \mathrm{KL}(p \,\|\, u) \leq \ln K",
    says="Over K values no distribution has more entropy than the uniform one.",
    source="Cover & Thomas, theorem 2.6.4",
    method="enumeration",
    wrong={
        "one value forgotten": {"greatest": lambda k: math.log(k - 1)},
        "entropy in bits": {"greatest": math.log2},
    },
)
def the_uniform_distribution_has_most_entropy(proof: Proof, *, greatest=math.log) -> None:
    """With u(x) = 1/K for each of the K values,

    KL(p ‖ u) = Σ p ln p − Σ p ln (1/K) = −H(p) + ln K

    which is never negative, and 0 for p = u only.
    """
    count = 7
    p, uniform = distribution(proof.rng, count), np.full(count, 1 / count)
    proof.step("KL(p ‖ u)", kl(p, uniform))
    bound = greatest(count)
    proof.equal("H(p)", entropy(p), bound - kl(p, uniform), rounding=roundings(count), scale=bound)
    proof.at_most("H(p) ≤ ln K", entropy(p), bound, rounding=roundings(count))
    proof.equal("H(u) = ln K", entropy(uniform), bound, rounding=roundings(count))


@claim(
    section="information",
    statement=r"H(X, Y) = H(X) + H(Y \mid X)",
    says="Both variables together tell what the first tells and what the second adds to it.",
    source="Cover & Thomas, theorem 2.2.1",
    method="enumeration",
    wrong={
        "as if the second were independent": {"rest": lambda joint: entropy(np.sum(joint, axis=0))},
        "conditioned the wrong way round": {"rest": lambda joint: conditional_entropy(joint.T)},
    },
)
def entropies_add_along_a_chain(proof: Proof, *, rest=conditional_entropy) -> None:
    """Write p(x, y) = p(x) p(y | x) under the logarithm, and sum over y in the first part:

    −Σ p(x, y) ln p(x, y) = −Σ p(x) ln p(x) − Σ p(x, y) ln p(y | x) = H(X) + H(Y | X)
    """
    joint = distribution(proof.rng, 3, 4)
    first = entropy(np.sum(joint, axis=1))
    proof.step("H(X)", first)
    proof.step("H(Y | X)", rest(joint))
    proof.equal("H(X, Y)", entropy(joint), first + rest(joint), rounding=roundings(12))


@claim(
    section="information",
    statement="\n".join(
        [
            r"I(X; Y) = H(X) - H(X \mid Y) = H(Y) - H(Y \mid X)",
            r"\quad = H(X) + H(Y) - H(X, Y)",
            r"\quad = H(X, Y) - H(X \mid Y) - H(Y \mid X) = I(Y; X)",
        ]
    ),
    says="Mutual information is one number with five readings.",
    source="Cover & Thomas, theorem 2.4.1",
    method="enumeration",
    wrong={
        "the joint entropy counted twice": {"times": 2.0},
        "the two conditional entropies exchanged": {
            "given": lambda joint: (conditional_entropy(joint), conditional_entropy(joint.T))
        },
    },
)
def mutual_information_has_five_readings(
    proof: Proof,
    *,
    times=1.0,
    given=lambda joint: (conditional_entropy(joint.T), conditional_entropy(joint)),
) -> None:
    """I(X; Y) = KL(p(x, y) ‖ p(x) p(y)) = Σ p(x, y) [ln p(x, y) − ln p(x) − ln p(y)]:

    sum each logarithm by itself                    H(X) + H(Y) − H(X, Y)
    put in H(X, Y) = H(Y) + H(X | Y)                H(X) − H(X | Y)
    put in H(X, Y) = H(X) + H(Y | X)                H(Y) − H(Y | X)
    put both in for H(X) and H(Y)                   H(X, Y) − H(X | Y) − H(Y | X)
    exchange x and y, which changes nothing         I(Y; X)
    """
    joint = distribution(proof.rng, 3, 4)
    information, both = mutual_information(joint), times * entropy(joint)
    x, y = entropy(np.sum(joint, axis=1)), entropy(np.sum(joint, axis=0))
    x_given_y, y_given_x = given(joint)
    proof.step("I(X; Y)", information)
    readings = {
        "H(X) − H(X | Y)": x - x_given_y,
        "H(Y) − H(Y | X)": y - y_given_x,
        "H(X) + H(Y) − H(X, Y)": x + y - both,
        "H(X, Y) − H(X | Y) − H(Y | X)": both - x_given_y - y_given_x,
        "I(Y; X)": mutual_information(joint.T),
    }
    for what, value in readings.items():
        proof.equal(what, value, information, rounding=roundings(12), scale=x + y)


def _worst_case(joint: Any) -> Any:
    """The greatest of the entropies H(X | Y = y)."""
    columns = joint / np.sum(joint, axis=0)
    return np.max(np.stack([entropy(columns[:, y]) for y in range(joint.shape[1])]))


@claim(
    section="information",
    statement=r"H(X \mid Y) \leq H(X)",
    says="To know Y makes X more certain on average, though not for every value of Y.",
    source="Cover & Thomas, theorem 2.6.5 and the example after it",
    method="enumeration",
    wrong={"for each value of Y": {"after": _worst_case}},
)
def knowing_more_is_more_certain_on_average(
    proof: Proof, *, after=lambda joint: conditional_entropy(joint.T)
) -> None:
    """H(X) − H(X | Y) = I(X; Y), a divergence, which is never negative.

    In the example X has 0.483 nats. Where Y has its second value, in a quarter of the cases, X
    becomes a coin, of ln 2 = 0.693 nats; in the others it has 0.287. The mean is 0.388.
    """
    example = np.array([[1 / 16, 1 / 8], [11 / 16, 1 / 8]])
    random = distribution(proof.rng, 3, 4)
    proof.step("H(X | Y = y), the greatest", _worst_case(example))
    for what, table in (("of the example", example), ("of a random table", random)):
        before = entropy(np.sum(table, axis=1))
        proof.at_most(f"H(X | Y) {what}", after(table), before, rounding=roundings(12))


@claim(
    section="information",
    statement=r"X \to Y \to Z: \quad I(X; Z) \leq I(X; Y)"
    "\n" + r"\mathrm{KL}(p T \,\|\, q T) \leq \mathrm{KL}(p \,\|\, q)",
    says="No processing of Y makes it tell more about X than it did.",
    source="Cover & Thomas, theorem 2.8.1",
    method="enumeration",
    wrong={
        "Z is made of X, not of Y": {"sent": lambda joint, _: np.diag(np.sum(joint, axis=1))},
    },
)
def processing_adds_no_information(
    proof: Proof, *, sent=lambda joint, channel: joint @ channel
) -> None:
    """Let T(y, z) = p(z | y). Where Z sees Y alone, p(x, z) = Σ_y p(x, y) T(y, z). Then

    I(X; Y, Z) = I(X; Y) + I(X; Z | Y) = I(X; Y)        as Z adds nothing to Y,
    I(X; Y, Z) = I(X; Z) + I(X; Y | Z) ≥ I(X; Z).

    In the same way for two distributions that go through the same channel.
    """
    joint = distribution(proof.rng, 3, 4)
    channel = distribution(proof.rng, 4, 3)
    channel = channel / np.sum(channel, axis=1, keepdims=True)
    before, after = mutual_information(joint), mutual_information(sent(joint, channel))
    proof.at_most("I(X; Z)", after, before, rounding=roundings(12), scale=entropy(joint))
    p, q = distribution(proof.rng, 4), distribution(proof.rng, 4)
    through = kl(p @ channel, q @ channel)
    proof.at_most("KL(pT ‖ qT)", through, kl(p, q), rounding=roundings(12), scale=entropy(p))


@claim(
    section="information",
    statement=r"H(p) \leq -\int p(x) \ln \mathcal{N}(x; \mu, \sigma^2) \, dx"
    "\n" + r"\quad = \frac{1}{2} \ln 2 \pi e \sigma^2",
    says="Of all densities with one variance the normal one has most entropy.",
    source="Cover & Thomas, theorem 8.6.5",
    method="quadrature",
    wrong={
        "the variance taken for the standard deviation": {"log_std": math.log},
        "ln 2π without the e": {"missing": 0.5},
    },
)
def the_normal_density_has_most_entropy(
    proof: Proof, *, log_std=lambda variance: 0.5 * math.log(variance), missing=0.0
) -> None:
    """0 ≤ KL(p ‖ N) = −H(p) − ∫ p ln N. The logarithm of N is a polynomial of degree two,

    −ln N(x) = ½ ln 2πσ² + (x − µ)² / 2σ²,        whose mean under p is ½ ln 2πσ² + ½,

    the same for each p of mean µ and variance σ²: N's own entropy. A rule with two nodes is exact
    for it: Gauss's and Legendre's for the uniform density on (0, 2), of entropy ln 2, mean 1 and
    variance ⅓; Gauss's and Laguerre's for e^(−x/2)/2, of entropy 1 + ln 2, mean 2 and variance 4.
    """
    two, root = math.sqrt(2), math.sqrt(3)
    densities = {
        "uniform": (math.log(2), 1.0, 1 / 3, [1 - 1 / root, 1 + 1 / root], [0.5, 0.5]),
        "exponential": (
            1 + math.log(2),
            2.0,
            4.0,
            [2 * (2 - two), 2 * (2 + two)],
            [(2 + two) / 4, (2 - two) / 4],
        ),
    }
    for name, (own, mean, variance, nodes, weights) in densities.items():
        log_normal = normal.log_prob(mean, log_std(variance), np.array(nodes))
        cross_entropy = -np.sum(np.array(weights) * log_normal)
        most = normal.entropy(log_std(variance)) - missing
        # nodes 4, z and z² 6, the exponential of ln σ 3, sums and constants 7; terms are below 3
        proof.equal(f"−∫ p ln N, p {name}", cross_entropy, most, rounding=20, scale=3.0)
        proof.at_most(f"H(p), p {name}", own, most, rounding=20, scale=3.0)

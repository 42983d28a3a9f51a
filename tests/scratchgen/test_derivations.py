"""Claims hold, can fail, and are whole; their tolerances mean what they say."""

import inspect
import math
import types

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend
from scratchgen.derivations import Claim, Proof, claim, differences, proof, registry
from scratchgen.derivations.figures import figure_svg, formula_svg
from scratchgen.derivations.run import run
from scratchgen.errors import UsageError

CLAIMS = {entry.name: entry for entry in registry.claims()}
EACH = pytest.mark.parametrize("name", CLAIMS)
WRONG = [(name, what) for name, entry in CLAIMS.items() for what in entry.wrong]


# ------------------------------------------------------------------------------------ all claims


@EACH
@pytest.mark.parametrize("seed", [0, 1])
def test_it_holds(name, seed):
    result = run(CLAIMS[name], seed)
    assert result.passed, result.failure
    for comparison in result.proof.comparisons:
        assert 0 <= comparison.tolerance < math.inf, comparison


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 22))
def test_all_of_them_hold_for_twenty_other_seeds(seed):
    results = [run(entry, seed) for entry in CLAIMS.values()]
    assert not [(result.claim.name, result.failure) for result in results if not result.passed]


def test_there_are_claims_of_every_section():
    assert len(CLAIMS) >= 80
    assert {entry.section for entry in CLAIMS.values()} == set(registry.SECTIONS)


@pytest.mark.parametrize("name, what", WRONG)
def test_a_mistake_in_it_is_computed_and_found_false(name, what):
    result = run(CLAIMS[name], 0, CLAIMS[name].wrong[what])
    assert result.exception is None, result.failure
    assert not result.passed
    for comparison in result.proof.comparisons:
        assert not math.isnan(comparison.left) and not math.isnan(comparison.right), comparison


@EACH
def test_it_is_whole(name):
    entry = CLAIMS[name]
    assert entry.wrong, "there is no way to get it wrong"
    assert entry.section in registry.SECTIONS
    assert entry.derivation and entry.source
    assert entry.says.endswith(".") and "\n" not in entry.says
    assert entry.code.startswith("@claim(")
    for line in entry.statement.splitlines():
        assert formula_svg(line, entry.says).startswith("<svg")


@pytest.mark.parametrize("name", [name for name, entry in CLAIMS.items() if entry.figure])
def test_its_figure_can_be_drawn(name):
    assert figure_svg(CLAIMS[name].figure(), name, "a figure").endswith("</svg>")


def test_a_seed_gives_the_same_numbers_again_and_another_seed_others():
    entry = CLAIMS["gibbs-inequality"]
    steps = [run(entry, seed).proof.steps[0].value for seed in (3, 3, 4)]
    assert steps[0] == steps[1] != steps[2]


# ----------------------------------------------------------------------------------- comparisons


def compared(method, *args, **kwargs):
    """The comparison that a method of Proof records."""
    written = Proof("test")
    getattr(written, method)("it", *args, **kwargs)
    return written.comparisons[0]


def device(x, dtype=None):
    return backend.asarray(x, dtype)


def test_equal_allows_as_many_rounding_errors_as_were_counted():
    epsilon = numpy.finfo(float).eps
    assert compared("equal", 8.0, 8.0 * (1 + 2 * epsilon), rounding=2.1).passed
    assert not compared("equal", 8.0, 8.0 * (1 + 2 * epsilon), rounding=1.9).passed
    assert compared("equal", 0.0, epsilon, rounding=1, scale=1.0).passed
    assert not compared("equal", 0.0, epsilon, rounding=1).passed
    assert compared("equal", 1e4, 2e4, rounding=0).ratio == math.inf


def test_the_coarser_dtype_decides():
    third = device([1 / 3], "float32")
    assert compared("equal", third, 1 / 3, rounding=1).passed
    assert not compared("equal", third.astype("float64"), 1 / 3, rounding=1).passed


def test_the_worst_element_is_recorded():
    it = compared("equal", device([1.0, 2.0, 3.0]), device([1.0, 2.5, 3.25]), rounding=1)
    assert (it.left, it.right, it.error, it.elements) == (2.0, 2.5, 0.5, 3)


def test_sides_may_be_tensors():
    assert compared("equal", np.sum(Tensor(device([1.0, 2.0]))), 3.0, rounding=0).passed


def test_infinities_are_equal_to_themselves_and_to_nothing_else():
    assert compared("equal", math.inf, math.inf, rounding=0).passed
    assert not compared("equal", math.inf, -math.inf, rounding=9).passed
    assert not compared("equal", 1e300, math.inf, rounding=9).passed
    assert compared("at_most", -math.inf, math.inf, rounding=0).passed
    assert compared("at_most", 1.0, math.inf, rounding=0).passed
    assert not compared("at_most", math.inf, 1.0, rounding=9).passed


@pytest.mark.parametrize("method", ["equal", "at_most"])
def test_what_is_not_a_number_is_never_right(method):
    assert not compared(method, math.nan, 1.0, rounding=9).passed
    assert not compared(method, math.nan, math.nan, rounding=9).passed
    assert not compared("within", math.nan, 1.0, 9.0, "a bound").passed
    assert not compared("within", device([1.0, 1.0]), 1.0, device([1.0, math.nan]), "it").passed
    assert not compared("mean", device([1.0, math.nan, 1.0]), 1.0).passed


def test_inequalities_and_differences():
    assert compared("at_most", device([1.0, 2.0]), 2.0, rounding=0).passed
    assert compared("at_most", device([1.0, 2.5]), 2.0, rounding=1).error == 0.5
    assert compared("within", device([1.0, 2.0]), 1.5, device([0.5, 0.6]), "a bound").passed
    assert not compared("within", device([1.0, 2.0]), 1.5, device([0.5, 0.4]), "a bound").passed
    assert compared("differ", 1.0, device([1.5, 0.5]), by=0.5).passed
    assert compared("differ", 1.0, device([1.5, 0.75]), by=0.5).error == 0.25


def test_sides_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        compared("equal", device([1.0, 2.0]), device([1.0, 2.0, 3.0]), rounding=1)
    with pytest.raises(ValueError, match="nothing to compare"):
        compared("equal", device([]), 1.0, rounding=1)


@pytest.mark.parametrize("method", ["mean", "mean_at_most"])
def test_a_mean_fails_by_chance_as_often_as_stated(method, rng, monkeypatch):
    """The columns are independent here, so that it is known how much Bonferroni gives away."""
    monkeypatch.setattr(proof, "LEVEL", 0.1)
    runs, right = 2000, numpy.array([0.0, 1.0, -2.0])
    draws = rng.standard_normal((runs, 5, 3)) + right
    failed = sum(not compared(method, device(few), device(right)).passed for few in draws)
    expected = runs * (1 - (1 - 0.1 / 3) ** 3)
    assert abs(failed - expected) < 3 * math.sqrt(0.9 * expected)


def test_means_count_their_false_alarms():
    written = Proof("test")
    written.mean("it", device([1.0, 2.0, 3.0]), 2.0)
    written.equal("it", 1.0, 1.0, rounding=0)
    assert sum(it.level for it in written.comparisons) == proof.LEVEL


def test_equal_draws_may_be_off_by_the_rounding_of_their_mean():
    assert compared("mean", device([0.1] * 1000), 0.1).passed


@pytest.mark.parametrize(
    "f, slope, size",
    [
        (np.sin, 1.0, 1e-2),
        (lambda t: np.exp(3 * t), 3.0, 1.0),
        (lambda t: 1 / (1.5 - t), 1 / 2.25, 1.0),
        (lambda t: 1e6 + np.tanh(t), 1.0, 1e6),
    ],
)
def test_a_slope_by_differences_is_as_near_as_it_says(f, slope, size):
    value, bound = differences.slope(lambda t: f(device(t)), rounding=4)
    value, bound = backend.to_numpy(value), backend.to_numpy(bound)
    assert abs(value - slope) <= bound < 1e-9 * (1 + size)


# -------------------------------------------------------------------------------- writing claims

WORDS = {"statement": "1 = 1", "says": "One is one.", "method": "closed form"}


def test_a_claim_is_named_after_its_function():
    @claim(**WORDS)
    def one_is_one(proof):
        """Count."""
        proof.equal("1", 1.0, 1.0, rounding=0)

    assert isinstance(one_is_one, Claim)
    assert (one_is_one.name, one_is_one.section) == ("one-is-one", "own")
    assert one_is_one.derivation == "Count."
    assert run(one_is_one).passed


def test_a_claim_that_compares_nothing_or_raises_fails():
    @claim(**WORDS)
    def nothing(proof):
        proof.step("one", 1.0)

    @claim(**WORDS)
    def raises(proof):
        proof.equal("1", 1.0, 1.0, rounding=0)
        raise ArithmeticError("two\nlines")

    assert run(nothing).failure == "it compares nothing" and not run(nothing).passed
    assert run(raises).failure == "ArithmeticError: two lines" and not run(raises).passed


@pytest.mark.parametrize(
    "words, message",
    [
        ({"method": "guessing"}, "no method 'guessing'; there are closed form"),
        ({"wrong": {"a sign": {"sign": -1}}}, "'a sign' sets sign, which it has not"),
        ({"wrong": {"a sign": {}}}, "'a sign' changes nothing"),
    ],
)
def test_what_makes_no_claim_is_refused(words, message):
    with pytest.raises(ValueError, match=message):
        claim(**{**WORDS, **words})(lambda proof: None)


def module_of(name, *claims):
    """A module with claims of these names."""
    module = types.ModuleType(name)
    for number, text in enumerate(claims):
        exec(f"def {text}(proof): return {number}", module.__dict__)
        setattr(module, text, claim(**WORDS)(getattr(module, text)))
    return module


def test_the_same_name_twice_is_refused():
    with pytest.raises(ValueError, match="claim same is in both first and second"):
        registry.distinct([module_of("first", "same"), module_of("second", "same")])
    with pytest.raises(ValueError, match="claim same: there is another of this name before it"):
        text = "@claim(**words)\ndef same(proof): pass\n" * 2
        exec(compile(text, "file", "exec"), {"claim": claim, "words": WORDS, "__name__": "m"})


def test_claims_are_found_by_parts_of_their_names_wildcards_and_section():
    claims = registry.distinct([module_of("m", "kl_of_normals", "js_bound", "kl_bound")])
    names = [entry.name for entry in registry.find(claims, ["kl"], None)]
    assert names == ["kl-of-normals", "kl-bound"]
    assert [entry.name for entry in registry.find(claims, ["*bound"], "own")] == [
        "js-bound",
        "kl-bound",
    ]
    assert registry.find(claims, [], None) == claims
    assert registry.named(claims, "kl_of_normals").name == "kl-of-normals"
    with pytest.raises(UsageError, match="several claims: kl-of-normals, kl-bound"):
        registry.named(claims, "kl")
    with pytest.raises(UsageError, match="did you mean 'kl-of-normals'"):
        registry.find(claims, ["normls"], None)


def test_every_section_of_the_package_is_in_order():
    order = [entry.section for entry in CLAIMS.values()]
    assert order == sorted(order, key=list(registry.SECTIONS).index)


def test_claims_use_the_generator_that_they_are_given():
    for entry in CLAIMS.values():
        assert "default_rng" not in inspect.getsource(entry.derive), entry.name

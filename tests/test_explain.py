"""``python -m autograd.explain``: what it shows of every operation, its checks, its exit codes."""

import subprocess
import sys

import pytest

from autograd import core, explain
from autograd.latex import plain
from autograd.source import source_of
from autograd.table import find, operations
from tests.faults import planted, scaled

# ------------------------------------------------------------------------------------------- text


@pytest.mark.parametrize("op", operations.values(), ids=operations)
def test_every_operation_is_explained_within_80_columns(op):
    text = explain.text(op)
    assert op.name in text
    assert all(len(line) <= 80 for line in text.splitlines() if " " in line.strip())
    source = source_of(op)
    assert source.forward
    if op.primitive:
        shown = "\n".join(excerpt.text for excerpt in source.gradient + source.forward)
        assert "defvjp" in shown or f'{op.function.__name__}"' in shown


def test_an_operation_written_as_a_row_is_shown_with_its_row():
    source = source_of(find("tanh"))
    assert source.forward[0].text.startswith("tanh = _unary(")
    assert "lambda g: g * (1 - y * y)" in source.forward[0].text
    assert "getattr(xp, name)(x)" in source.forward[1].text
    assert source.gradient == []


def test_an_operation_written_as_a_function_is_shown_with_rule_and_helpers():
    source = source_of(find("prod"))
    assert "@operation" in source.forward[0].text and "def prod(" in source.forward[0].text
    assert [excerpt.text for excerpt in source.gradient] == ["defvjp(prod, _prod_rule)"]
    helpers = "\n".join(excerpt.text for excerpt in source.helpers)
    assert "def _prod_rule(" in helpers and "def _products_before(" in helpers


def test_a_statement_over_several_lines_is_shown_whole():
    (rule,) = source_of(find("where")).gradient
    assert rule.text.startswith("defvjp(\n    where,") and rule.text.endswith(")")


def test_the_excerpts_say_where_they_stand():
    for excerpt in [*source_of(find("softmax")).forward, *source_of(find("softmax")).helpers]:
        assert excerpt.path.startswith("autograd/")
        with open(explain.__file__.replace("autograd/explain.py", excerpt.path)) as file:
            lines = file.read().splitlines()
        assert lines[excerpt.line - 1].strip() == excerpt.text.splitlines()[0].strip()


def test_a_composite_has_its_gradient_from_others():
    assert "That of the operations it is made of" in explain.text(find("std"))


def test_a_constant_says_that_it_has_none():
    assert "constant almost everywhere" in explain.text(find("floor"))


def test_the_listing_has_every_operation_once():
    listing = explain.listing()
    assert all(len(line) <= 80 for line in listing.splitlines())
    shown = [line.split()[0] for line in listing.splitlines() if line.startswith("  ")]
    for op in operations.values():
        assert op.name.rpartition(".")[2] in shown
        assert op.name.rpartition(".")[0] in listing


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"y = \tanh x", "y = tanh x"),
        (r"y = \tfrac1n \sum_i x_i^2", "y = (1/n) Σᵢ xᵢ²"),
        (r"y = \lfloor x + \tfrac12 \rfloor", "y = ⌊x + ½⌋"),
        (r"\sigma(x) = \frac{1}{1 + e^{-x}}", "σ(x) = 1/(1 + e⁻ˣ)"),
        (r"y = x_1^{x_2}", "y = x₁^(x₂)"),
        (r"y = \sqrt[3]{x + 1}", "y = ∛(x + 1)"),
        (r"y_{i + s} = \bar x", "y[i + s] = x̄"),
        (r"\overline{W} = \overline{x^2}", "W̄ = (x²)̄"),
        (r"\mathrm{KL}(q \,\|\, p) \leq \ln 2 \Rightarrow a \mid b", "KL(q ‖ p) ≤ ln 2 ⇒ a ∣ b"),
        (r"\begin{pmatrix} a \end{pmatrix}", None),
        (r"\frac{1", None),
        (r"x^", None),
    ],
)
def test_formulas_in_plain_text(latex, text):
    assert plain(latex) == text


# -------------------------------------------------------------------------------- checks and cost


@pytest.mark.parametrize("name", ["tanh", "logaddexp", "sum", "where", "array_split"])
def test_the_scorecard_of_a_right_gradient(name):
    card, passed = explain.scorecard(find(name), seeds=2)
    assert passed, card
    assert "FAILED" not in card
    for oracle in ("central differences", "adjoint identity", "backends (numpy"):
        assert oracle in card


def test_the_complex_step_is_for_analytic_functions():
    assert "not analytic" in explain.scorecard(find("maximum"), seeds=1)[0]
    assert "not analytic" not in explain.scorecard(find("tanh"), seeds=1)[0]


def test_a_wrong_gradient_fails_with_the_oracles_that_saw_it_and_exit_code_1(capsys):
    with planted(find("tanh").function.rules, 0, scaled):
        assert explain.main(["tanh", "--seeds", "1"]) == 1
    output = capsys.readouterr().out
    assert output.count("FAILED") >= 2
    assert "the rules say" in output and "the oracle" in output


def test_a_rule_that_raises_is_a_failure_too(monkeypatch):
    def broken(ans, x):
        raise TypeError("oh")

    monkeypatch.setitem(find("tanh").function.rules.makers, 0, broken)
    card, passed = explain.scorecard(find("tanh"), seeds=1)
    assert not passed and "TypeError: oh" in card


@pytest.mark.parametrize("name", ["exp", "mean", "einsum", "floor"])
def test_the_cost_is_given_for_each_backend_and_the_arguments_named(name, monkeypatch):
    monkeypatch.setattr(explain, "SIZE", 10_000)
    cost = explain.cost(find(name))
    assert "numpy" in cost and "float32" in cost
    assert ("(100, 100) float32" in cost) == (name != "einsum")  # whose samples do not scale


def test_an_operation_whose_time_would_explode_is_timed_on_less(monkeypatch):
    def outer(x):
        return x.reshape(-1, 1) * x.reshape(1, -1)

    op = find("exp")
    explosive = type(op)(**{**vars(op), "function": core.primitive(outer)})
    core.defvjp(explosive.function, lambda _, x: lambda g: g.sum(axis=0).reshape(x.shape))
    (x,), _ = explain._to_be_timed(explosive)
    assert x.size < 1000


# ------------------------------------------------------------------------------------- exit codes


def test_an_unknown_name_gives_one_line_with_the_nearest_and_exit_code_2(capsys):
    assert explain.main(["tahn"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and "tanh" in captured.err


def test_a_known_name_gives_exit_code_0_and_all_the_parts(capsys):
    assert explain.main(["negative", "--seeds", "1"]) == 0
    output = capsys.readouterr().out
    for part in ("LaTeX: y = -x", "negative(x)", "Forward", "Gradient", "Scorecard", "Cost"):
        assert part in output


def test_the_module_runs_as_a_command():
    command = [sys.executable, "-m", "autograd.explain"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "tanh" in result.stdout and result.stderr == ""

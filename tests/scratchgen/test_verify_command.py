"""``scratchgen verify`` and ``explain``: tables, JSON, pages, and claims of the user's own."""

import json
import os
import re
import xml.etree.ElementTree

import pytest

from autograd import backend
from scratchgen import cli

FIELDS = "name section source method error tolerance passed seconds".split()

MINE = '''
"""Claims of a student's own."""

import autograd.numpy as np
from autograd import grad
from autograd.nn import sigmoid
from scratchgen.derivations import Proof, claim


@claim(
    statement=r"\\sigma^\\prime(x) = \\sigma(x) (1 - \\sigma(x))",
    says="The sigmoid's slope is made of its value.",
    method="closed form",
    wrong={"without the second factor": {"slope": lambda s: s}},
)
def slope_of_the_sigmoid(proof: Proof, *, slope=lambda s: s * (1 - s)):
    """Differentiate 1 / (1 + e^(−x))."""
    x = proof.rng.standard_normal((5,))
    proof.step("σ(x)", sigmoid(x))
    left = grad(lambda x: np.sum(sigmoid(x)))(x)
    proof.equal("σ′(x)", left, slope(sigmoid(x)), rounding=8)
'''
FALSE = MINE.replace("slope=lambda s: s * (1 - s)", "slope=lambda s: s")
RAISING = MINE.replace("proof.step(", "proof.stop(")


@pytest.fixture
def scratchgen(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the command sets the number of threads

    def run(word, *argv):
        code = cli.main([word, *argv, "--backend", backend.current()])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def mine(tmp_path):
    """A file with a true claim."""
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    return str(path)


def test_a_table_says_what_holds(scratchgen):
    code, out, err = scratchgen("verify", "gibbs", "parallel-lines")
    assert (code, err) == (0, "")
    lines = [line.strip() for line in out.splitlines()]
    assert lines[0] == "Information theory"
    assert lines[1].split() == "claim method error tolerance verdict seconds".split()
    assert re.match(r"gibbs-inequality +enumeration +\S+e[-+]\d+ +\S+ +holds +\d\.\d\d", lines[2])
    assert "A divergence is never negative" in " ".join(out.split())
    assert re.match(r"2 claims, all hold, in \d+\.\d s", lines[-1])


def test_false_alarms_are_counted_where_there_is_chance(scratchgen, tmp_path):
    path = tmp_path / "chance.py"
    draws = "proof.mean('E x', proof.rng.random((1000,)), 0.5)\n"
    path.write_text(MINE + "    " + draws, encoding="utf-8")
    _, out, _ = scratchgen("verify", "--from", str(path))
    assert out.splitlines()[-1].endswith("false alarms expected by chance: 1e-05")


def test_json_is_a_list_of_what_came_of_each(scratchgen):
    code, out, _ = scratchgen("verify", "kl", "--section", "information", "--json")
    records = json.loads(out)
    assert code == 0 and len(records) > 1
    for record in records:
        assert list(record) == FIELDS
        assert record["passed"] is True and record["section"] == "information"
        assert 0 <= record["error"] <= record["tolerance"]


def test_an_infinite_error_is_null_in_json(scratchgen, tmp_path):
    path = tmp_path / "infinite.py"
    text = MINE.replace("slope(sigmoid(x))", "slope(sigmoid(x)) * float('inf')")
    path.write_text(text, encoding="utf-8")
    code, out, _ = scratchgen("verify", "--from", str(path), "--json")
    record = json.loads(out, parse_constant=pytest.fail)[0]
    assert code == 1 and record["error"] is None and record["passed"] is False


@pytest.mark.parametrize("options", [[], ["--json"]])
@pytest.mark.parametrize("text, reason", [(FALSE, "σ′(x): "), (RAISING, "AttributeError: 'Proof'")])
def test_a_claim_that_fails_is_exit_code_one(scratchgen, tmp_path, options, text, reason):
    path = tmp_path / "false.py"
    path.write_text(text, encoding="utf-8")
    code, out, err = scratchgen("verify", "--from", str(path), *options)
    assert code == 1
    assert err.startswith("scratchgen: 1 of 1 claims failed: slope-of-the-sigmoid (" + reason)
    assert err.count("\n") == 1
    assert not json.loads(out)[0]["passed"] if options else "FAILS" in out


@pytest.mark.parametrize(
    "argv, message",
    [
        (["verify", "gibs"], "no claim matches 'gibs'; did you mean 'gibbs-inequality'?"),
        (["verify", "--section", "informaton"], "unknown section 'informaton'; did you mean 'info"),
        (["verify", "--from", "nowhere"], "--from nowhere: no such file, folder or module"),
        (["verify", "--from", "nowhere.py"], "--from nowhere.py: no such Python file"),
        (["verify", "--from", "json"], "--from json: no claims there"),
        (["verify", "--seed", "-1"], "--seed -1: a seed is 0 or more"),
        (["explain", "parallel-line"], None),
        (["explain", "paralel-lines"], "did you mean 'parallel-lines'?"),
        (["explain", "kl-"], "'kl-' is in the names of several claims: "),
    ],
)
def test_what_is_not_there_is_one_line(scratchgen, argv, message):
    code, _, err = scratchgen(*argv)
    if message is None:  # a part of one name only
        assert code == 0
        return
    assert code == 2 and err.count("\n") == 1 and message in err


def test_own_claims_come_from_a_file_a_folder_or_a_module(scratchgen, mine, tmp_path, monkeypatch):
    for place in (mine, str(tmp_path), "scratchgen.derivations.information"):
        code, out, err = scratchgen("verify", "--from", place, "--list")
        assert (code, err) == (0, "")
        assert ("slope-of-the-sigmoid" in out) == (place in (mine, str(tmp_path)))
        assert ("a-die-carries" in out) == (place not in (mine, str(tmp_path)))
    assert scratchgen("verify", "--from", mine)[0] == 0


def test_a_file_that_does_not_run_says_why(scratchgen, tmp_path):
    (tmp_path / "broken.py").write_text("import nothing_of_this_name")
    code, _, err = scratchgen("verify", "--from", "broken.py")
    assert code == 1 and "broken.py: ModuleNotFoundError: No module named" in err


def test_explain_shows_the_derivation_numbers_mistakes_and_code(scratchgen, mine):
    code, out, err = scratchgen("explain", "slope", "--from", mine)
    assert (code, err) == (0, "")
    assert "The sigmoid's slope is made of its value." in out
    assert "Differentiate 1 / (1 + e^(−x))." in out
    words = " ".join(out.split())
    assert "8 rounding errors of" in words and "the worst of 5" in words
    assert "without the second factor found false, error" in words
    assert out.index("Code") < out.index("def slope_of_the_sigmoid(proof: Proof")


def test_explaining_what_is_false_is_exit_code_one(scratchgen, tmp_path):
    (tmp_path / "false.py").write_text(FALSE, encoding="utf-8")
    code, out, err = scratchgen("explain", "slope", "--from", "false.py")
    assert code == 1 and "It FAILS" in out and "slope-of-the-sigmoid fails" in err


def test_the_page_needs_no_other_file(scratchgen, tmp_path):
    asked = ["verify", "parallel-lines", "gibbs", "differences", "--html", "page.html"]
    code, out, err = scratchgen(*asked)
    assert (code, err) == (0, "") and out.splitlines()[-1] == "page.html"
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(?!#)', page) and "url(http" not in page
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page
    assert page.count("holds</span>") == 3
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    for target in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page):
        assert "".join(target) in ids
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert all('role="img" aria-label="' in picture for picture in pictures)
    for picture in pictures:
        xml.etree.ElementTree.fromstring(picture.replace("xlink:href", "href"))


def test_the_page_shows_a_failure_and_a_formula_that_cannot_be_typeset(scratchgen, tmp_path):
    text = FALSE.replace(r"\sigma^\prime(x)", r"\nosuchletter <b>")
    (tmp_path / "false.py").write_text(text, encoding="utf-8")
    assert scratchgen("verify", "--from", "false.py", "--html", "page.html")[0] == 1
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "✗ fails" in page and "<b>" not in page and "nosuchletter &lt;b&gt;" in page


def test_a_page_that_cannot_be_written_is_one_line(scratchgen):
    code, _, err = scratchgen("verify", "gibbs", "--html", "no/such/folder.html")
    assert code == 1 and "cannot write no/such/folder.html" in err

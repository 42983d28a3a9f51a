"""The table's formulas as one line of plain text: ``\\sum_i x_i^2`` becomes Σᵢ xᵢ².

Knows what the table's formulas use of LaTeX, and says so where it meets something else.
"""

from __future__ import annotations

import re
import unicodedata

_SYMBOLS = dict(
    zip(
        r"sum prod int le leq ge geq ne neq in mid to times cdot dots ldots cdots infty top "
        r"partial nabla odot otimes circ cup propto lfloor rfloor lceil rceil langle rangle "
        r"approx sim pm mapsto leftarrow rightarrow Rightarrow Leftrightarrow star ll gg "
        r"ell".split(),
        "Σ Π ∫ ≤ ≤ ≥ ≥ ≠ ≠ ∈ ∣ → × · … … ⋯ ∞ ⊤ ∂ "
        "∇ ⊙ ⊗ ∘ ∪ ∝ ⌊ ⌋ ⌈ ⌉ ⟨ ⟩ ≈ ∼ ± "
        "↦ ← → ⇒ ⇔ ⋆ ≪ ≫ ℓ".split(),
        strict=True,
    )
)
_WORDS = frozenset(
    "log ln exp sin cos tan sinh cosh tanh arcsin arccos arctan arg min max det gcd sup inf".split()
)
_NOTHING = frozenset("left right bigl bigr Bigl Bigr big Big mathrel mathbin displaystyle".split())
_AS_IT_IS = frozenset("operatorname text mathrm mathbf mathcal mathbb mathit boldsymbol".split())
_ACCENTS = {
    "bar": "\u0304",
    "overline": "\u0304",
    "hat": "\u0302",
    "tilde": "\u0303",
    "dot": "\u0307",
    "vec": "\u20d7",
}
_FRACTIONS = {"1/2": "½", "1/3": "⅓", "1/4": "¼", "3/4": "¾", "1/8": "⅛"}
_RAISED = dict(
    zip("0123456789+-=()abcdefghijklmnoprstuvwxyzT⊤",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᵀ", strict=True)
)  # fmt: skip
_LOWERED = dict(
    zip("0123456789+-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True)
)


class Unknown(ValueError):
    """A command without a plain form."""


def plain(formula: str) -> str | None:
    """``formula`` in Unicode, or None where that is not possible in one line."""
    try:
        text = _Reader(formula).until("")
    except Unknown:
        return None
    text = re.sub(r"(?<=[⌊⌈⟨(]) +| +(?=[⌋⌉⟩),])", "", text)
    return re.sub(r" {2,}", " ", text).strip()


class _Reader:
    """Reads a formula from left to right; a group in braces is read by calling itself."""

    def __init__(self, formula: str) -> None:
        self.tokens = re.findall(r"\\[A-Za-z]+|\\.|.", formula, re.DOTALL)
        self.at = 0

    def until(self, end: str) -> str:
        parts: list[str] = []
        while self.at < len(self.tokens):
            if self.tokens[self.at] == end:
                self.at += 1
                return "".join(parts)
            parts.append(self.item())
        if end:
            raise Unknown(f"{end} is missing")
        return "".join(parts)

    def item(self) -> str:
        token = self.tokens[self.at]
        self.at += 1
        if token == "{":
            return self.until("}")
        if token in "^_":
            return _shifted(self.argument(), raised=token == "^")
        if token.startswith("\\"):
            return self.command(token[1:])
        return "−" if token == "-" else token

    def argument(self) -> str:
        """The next item, spaces skipped: a single character or a group."""
        while self.at < len(self.tokens) and self.tokens[self.at].isspace():
            self.at += 1
        if self.at == len(self.tokens):
            raise Unknown("an argument is missing")
        return self.item()

    def command(self, name: str) -> str:
        if name in _SYMBOLS:
            return _SYMBOLS[name]
        if name in _WORDS:
            return name
        if name in _NOTHING:
            return ""
        if name in _AS_IT_IS:
            return self.argument()
        if name in ("quad", "qquad") or name in ", ;:":
            return " "
        if name == "!":
            return ""
        if name in "{}|":
            return name.replace("|", "‖")
        if name in _ACCENTS:
            return _accented(self.argument(), _ACCENTS[name])
        if name in ("frac", "tfrac", "dfrac"):
            above, below = _bracketed(self.argument()), _bracketed(self.argument())
            ratio = f"{above}/{below}"
            return _FRACTIONS.get(ratio, f"({ratio})" if name == "tfrac" else ratio)
        if name == "sqrt":
            root = "√"
            if self.tokens[self.at : self.at + 1] == ["["]:
                self.at += 1
                degree = self.until("]")
                root = {"3": "∛", "4": "∜"}.get(degree) or _shifted(degree, raised=True) + "√"
            return root + _bracketed(self.argument())
        try:
            case = "CAPITAL" if name[0].isupper() else "SMALL"
            return unicodedata.lookup(
                f"GREEK {case} LETTER {name.removeprefix('var').upper().replace('LAMBDA', 'LAMDA')}"
            )
        except KeyError:
            raise Unknown(f"\\{name}") from None


def _accented(text: str, accent: str) -> str:
    """``accent`` above ``text``, or behind it in parentheses if it is more than a letter."""
    return text + accent if len(text) == 1 or text.startswith("(") else f"({text}){accent}"


def _bracketed(text: str) -> str:
    """``text`` in parentheses, unless it is one word."""
    return text if re.fullmatch(r"[\w.…]+", text) else f"({text})"


def _shifted(text: str, raised: bool) -> str:
    """``text`` as an exponent or an index, in small letters if there are such."""
    letters = _RAISED if raised else _LOWERED
    compact = text.replace("−", "-")
    if all(letter in letters for letter in compact):
        return "".join(letters[letter] for letter in compact)
    return f"^({text})" if raised else f"[{text}]"

"""Words for the formulas of the paper, for readers who hear it.

A formula is written in Typst's notation, which names its signs; what is left to do is to say the
signs that it does not name, and the order in which things hang together.
"""

from __future__ import annotations

import re

# In order: what a pattern stands for in words.
_SAID = (
    (r'"([^"]*)"', r"\1"),
    (r"\\\s", ", "),
    (r"&", " "),
    (r"\b(?:cal|upright|bold)\((\w+)\)", r"\1"),
    (r"\b(tilde|macron|hat)\((\w+)\)", r"\2 \1"),
    (r"\bnorm\(", " the norm of ("),
    (r"\bsqrt\(", " the square root of ("),
    (r"\bsum\b", " the sum over "),
    (r"\bmin\b", " the minimum over "),
    (r"\b(?:dots|space)\b", " "),
    (r"<-", " becomes "),
    (r"<=", " at most "),
    (r">=", " at least "),
    (r"=", " equals "),
    (r"<", " less than "),
    (r"\|\|", " against "),
    (r"\|(\w)\|", r"the length of \1"),
    (r"\^\*", " star "),
    (r"\^top\b", " transposed "),
    (r"\^2\b", " squared "),
    (r"\^", " to the "),
    (r"_", " sub "),
    (r"\\?/", " over "),
    (r"\bdot\b", " times "),
    (r"\+", " plus "),
    (r"[-−]", " minus "),
)
# Not in a formula: what is written as it stands, and escaped signs.
_FORMULA = re.compile(
    r'#raw\("(?:[^"\\]|\\.)*"\)'
    r"|\\."
    r"|(?P<formula>\$(?:[^$\\]|\\.)+\$)(?P<next>(?=[.(\[;]))?",
    re.DOTALL,
)


def in_words(formula: str) -> str:
    """Return a formula, with or without its dollar signs, in words."""
    said = formula.strip("$")
    for pattern, words in _SAID:
        said = re.sub(pattern, words, said)
    said = re.sub(r"\(\s*", "(", re.sub(r"\s+", " ", said))
    return re.sub(r"\s+([,.)\]])", r"\1", said).strip()


def spoken(text: str) -> str:
    """Return a Typst document, each of its formulas with its words as alternative text.

    The document defines ``spoken(words, formula)``.
    """

    def replaced(match: re.Match) -> str:
        formula = match["formula"]
        if formula is None:
            return match.group()
        words = in_words(formula).replace("\\", "").replace('"', "")
        # A semicolon ends the call where what follows could be taken for a part of it.
        return f'#spoken("{words}", {formula}){"" if match["next"] is None else ";"}'

    return _FORMULA.sub(replaced, text)

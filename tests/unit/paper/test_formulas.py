"""Every formula of the paper is also in words."""

import pytest

from jadapt.analysis.labels import declared
from jadapt.paper.formulas import in_words, spoken


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("$x$", "x"),
        ("$theta^*_k$", "theta star sub k"),
        ("$r (m + n)$", "r (m plus n)"),
        ("$R_(i,j)$", "R sub (i,j)"),
        ("$tilde(g) = g + G^top v$", "g tilde equals g plus G transposed v"),
        ('$ "retention" = "bpb"_"base" / "bpb"_"adapted". $',
         "retention equals bpb sub base over bpb sub adapted."),
        ("$norm(theta - theta^*)^2$", "the norm of (theta minus theta star) squared"),
        ("$p < 0.001$", "p less than 0.001"),
    ],
)  # fmt: skip
def test_signs_are_said(formula, words):
    assert in_words(formula) == words


@pytest.mark.parametrize("key", declared())
def test_no_formula_of_a_method_keeps_a_sign_that_nobody_says(key):
    text = spoken(declared()[key].paragraph)
    for part in text.split('#spoken("')[1:]:
        words = part.split('"')[0]
        assert words and not set(words) & set('_^\\&"$'), words


def test_formulas_are_wrapped_where_they_stand():
    assert spoken("Let $x$ be.") == 'Let #spoken("x", $x$) be.'
    # What follows is not taken for a part of the call.
    assert spoken("of $x$.") == 'of #spoken("x", $x$);.'
    assert spoken("$x$(a)") == '#spoken("x", $x$);(a)'


def test_what_is_no_formula_stays():
    for text in ('#raw("a $b$ c")', "5 \\$ and 6 \\$", "no formula"):
        assert spoken(text) == text

"""How answers become scores where lm-evaluation-harness has no such way: JSTS and JSQuAD."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from scipy import stats


def expected_value(item: dict, results: Sequence[tuple[float, bool]]) -> dict:
    """Return (gold value, expected value) under the probabilities of choices that are numbers.

    Args:
        item: of `jadapt.evaluation.tasks.rendering.Item`.
        results: the log-likelihood of each choice, and whether it is what greedy prediction gives.
    """
    scores = np.array([score for score, _ in results])
    shares = np.exp(scores - scores.max())
    values = np.array([float(choice) for choice in item["choices"]])
    pair = (item["value"], float(shares @ values / shares.sum()))
    return {"pearson": pair, "spearman": pair}


def extracted_answer(item: dict, results: Sequence[str]) -> dict:
    """Return exact match and the F1 of characters, the best over the gold answers.

    Both after NFKC and without white space and marks of quotation around the answer, as answers of
    JSQuAD are compared.
    """
    given = _plain(results[0])
    answers = [_plain(answer) for answer in item["answers"]]
    return {
        "exact_match": float(given in answers),
        "f1": max(character_f1(given, answer) for answer in answers),
    }


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().strip("「」『』\"'。.").replace(" ", "")


def character_f1(given: str, answer: str) -> float:
    """Return the F1 of the characters of an answer, counted with their repetitions."""
    common = sum((Counter(given) & Counter(answer)).values())
    return 2 * common / (len(given) + len(answer)) if common else 0.0


def pearson(pairs: Sequence[tuple[float, float]]) -> float:
    """Correlate gold and expected values; constant ones have no correlation, which counts as 0."""
    return _correlation(pairs, stats.pearsonr)


def spearman(pairs: Sequence[tuple[float, float]]) -> float:
    """Correlate their ranks."""
    return _correlation(pairs, stats.spearmanr)


def _correlation(pairs: Sequence[tuple[float, float]], function: Callable) -> float:
    gold, given = np.array(pairs, float).T
    if np.ptp(gold) == 0 or np.ptp(given) == 0:
        return 0.0
    return float(function(gold, given).statistic)


SCORING = {"expected_value": expected_value, "extracted_answer": extracted_answer}
AGGREGATION: dict[str, str | Callable] = {"pearson": pearson, "spearman": spearman}
"""How the scores of items become one; the others are means."""

"""A tiny network against itself: the study trains it, chooses the best epochs, and compares independent halves."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest

from experiments.studies import self_comparison
from experiments.studies.self_comparison import (
    CASES,
    FIXED,
    OWN,
    Images,
    SelfComparison,
    compare_with_itself,
    is_verdict,
    self_comparison_text,
    with_copies,
)
from resjax.evaluation.comparison.measures import MEASURES
from resjax.records import read_lines

RECORD = Path(__file__).parents[2] / "experiments" / "results" / "calibration" / "self_comparisons.jsonl"


def pool_of(pictures: int) -> Images:
    """Noise in one of five colours, which tell the classes apart."""
    rng = np.random.default_rng(0)
    labels = np.arange(pictures) % 5
    pixels = rng.integers(0, 60, (pictures, 8, 8, 3)) + 40 * labels[:, None, None, None]
    return Images(pixels.astype(np.uint8), labels, np.arange(pictures))


def test_a_comparison_has_its_own_pictures_and_copies_count_as_one(monkeypatch):
    cases = tuple(product((OWN, FIXED), (2, 3), MEASURES))
    settings = ("TRAIN_PICTURES", 24), ("VAL_PICTURES", 20), ("COPIES", 10), ("PAIRS", (2, 3)), ("CASES", cases)
    for name, value in settings:
        monkeypatch.setattr(self_comparison, name, value)
    fixed = with_copies(pool_of(20), np.arange(20), 10)
    assert len(fixed.labels) == 30 and len(np.unique(fixed.groups)) == 20
    assert (fixed.pixels[20] == fixed.pixels[0, :, ::-1]).all()
    record = compare_with_itself(0, pool_of(60), fixed, epochs=2)
    # With so few seeds no verdict is possible.
    assert len(record.judged) == len(cases) and not any(map(is_verdict, record.judged))
    assert all(low < high for low, high, _ in record.judged) and record.accuracy >= record.last_accuracy


def test_the_page_says_what_the_committed_record_says():
    records = read_lines(RECORD, SelfComparison)
    assert [record.comparison for record in records] == list(range(len(records))) and len(records) >= 100
    assert self_comparison_text(records) in (RECORD.parent / "README.md").read_text()


def test_false_verdicts_among_the_trained_networks_are_as_rare_as_promised():
    records = read_lines(RECORD, SelfComparison)
    for place, each in enumerate(CASES):
        false = sum(is_verdict(record.judged[place]) for record in records)
        # At most what 5 % give with a probability of 99 %.
        assert false <= 0.05 * len(records) + 2.33 * (0.05 * 0.95 * len(records)) ** 0.5, each


def test_pictures_of_a_comparison_are_drawn_anew():
    orders = [np.random.default_rng([1, number]).permutation(3000)[:210] for number in range(2)]
    assert len(np.intersect1d(*orders)) == pytest.approx(210 * 210 / 3000, abs=12)

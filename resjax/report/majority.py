"""What always answering the largest class would reach, which stands beside every accuracy."""

from collections.abc import Mapping, Sequence

import numpy as np

from resjax.records import Side, Splits, Summary, SweepDataset
from resjax.report.words import SIDES, known, listed

REPORTED: tuple[Side, ...] = ("val", "test")


def majority_line(summary: Summary) -> str:
    """`Always answering bakso would be right on 24.1 % of the validation images.`; empty where it is not known."""
    dataset = summary.dataset
    return majority_sentence(dataset.classes, known(dataset.class_images) or _supports(summary))


def majority_of_sweep(dataset: SweepDataset) -> str:
    """As `majority_line`, for the images of a sweep."""
    return majority_sentence(dataset.classes, known(dataset.class_images) or {})


def majority_of_splits(record: Splits) -> str:
    """As `majority_line`, for each split; one sentence where it is the same for all."""
    sentences = {
        name: majority_sentence(record.dataset.classes, known(split.class_images) or {})
        for name, split in record.splits.items()
    }
    different = list(dict.fromkeys(sentence for sentence in sentences.values() if sentence))
    if len(different) == 1:
        return different[0]
    return " ".join(f"{name}: {sentence}" for name, sentence in sentences.items() if sentence)


def majority_sentence(classes: Sequence[str], class_images: Mapping[Side, Sequence[int]]) -> str:
    """The share of the largest class on each reported side that has images.

    >>> majority_sentence(["cat", "dog"], {"val": [30, 10], "test": []})
    'Always answering cat would be right on 75.0 % of the validation images.'
    """
    shares: dict[str, list[str]] = {}
    for side in REPORTED:
        counts = class_images.get(side) or [0]
        if sum(counts):
            largest = classes[int(np.argmax(counts))]
            shares.setdefault(largest, []).append(
                f"{100 * max(counts) / sum(counts):.1f} % of the {SIDES[side]} images"
            )
    parts = [f"{name} would be right on {' and '.join(of_sides)}" for name, of_sides in shares.items()]
    return f"Always answering {listed(parts)}." if parts else ""


def _supports(summary: Summary) -> dict[Side, list[int]]:
    """The images of each class of the side that scores are of, times the seeds; for records that lack the numbers."""
    side: Side = "test" if any(known(each.test_accuracy) for each in summary.architectures.values()) else "val"
    for network in summary.architectures.values():
        if sum(map(sum, network.confusion_matrix)):
            return {side: [sum(row) for row in network.confusion_matrix]}
    return {}

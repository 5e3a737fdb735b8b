"""The classes of a comparison with their images on each side, as a table that is printed before training."""

import json
import unicodedata

import numpy as np

from resjax.data.dataset import Dataset
from resjax.data.splits import SIDES, Split

SHOWN = 20
"""Classes of a longer list that are shown: half of them the largest, half the smallest."""
NAME_COLUMNS = 26
"""Columns of a terminal that a class's name may take."""


def class_table(dataset: Dataset, split: Split) -> str:
    """The number of images of each class on each side that has images, at most 80 columns wide.

    Of many classes the largest and the smallest in train are shown, with a line that counts the others.
    """
    sides = [side for side in SIDES if len(split.sides[side])]
    counts = np.stack(
        [np.bincount(dataset.labels[split.sides[side]], minlength=len(dataset.classes)) for side in sides], axis=1
    )
    order = range(len(counts))
    cut = len(counts) > SHOWN
    if cut:
        order = np.argsort(-counts[:, 0], kind="stable").tolist()
        hidden = order[SHOWN // 2 : -SHOWN // 2]
        order = order[: SHOWN // 2] + order[-SHOWN // 2 :]
    rows = [[_fitted(dataset.classes[label]), *(f"{count:,}" for count in counts[label])] for label in order]
    if cut:
        several = [_span(counts[hidden, place]) for place in range(len(sides))]
        rows.insert(SHOWN // 2, [f"({len(hidden):,} more classes)", *several])
    rows.append([f"all {len(counts):,} classes", *(f"{count:,}" for count in counts.sum(axis=0))])
    lines = [["class", *sides], *rows]
    name_width = max(_columns(name) for name, *_ in lines)
    widths = [max(len(line[place]) for line in lines) for place in range(1, len(sides) + 1)]
    return "\n".join(
        name
        + " " * (name_width - _columns(name))
        + "".join(f"  {count:>{width}}" for count, width in zip(of_sides, widths, strict=True))
        for name, *of_sides in lines
    )


def _span(counts: np.ndarray) -> str:
    least, most = int(counts.min()), int(counts.max())
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _fitted(name: str) -> str:
    """The name without characters that a terminal interprets, cut to its columns."""
    text = "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in name)
    return text if _columns(text) <= NAME_COLUMNS else _cut(text)


def _cut(text: str) -> str:
    while _columns(text) > NAME_COLUMNS - 3:
        text = text[:-1]
    return text + "..."


def _columns(text: str) -> int:
    """The columns that a terminal gives to a text; East Asian letters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)

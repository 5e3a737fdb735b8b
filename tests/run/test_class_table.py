"""The classes and their images on each side, in a table that fits a terminal."""

import numpy as np

from resjax.data.dataset import Dataset
from resjax.data.splits import Split
from resjax.run.setup.class_table import NAME_COLUMNS, SHOWN, class_table


def divided(classes: tuple[str, ...], **counts: list[int]) -> tuple[Dataset, Split]:
    """A set with so many images of each class on each side, and its split."""
    labels = np.concatenate([np.repeat(np.arange(len(classes)), of_side) for of_side in counts.values()])
    ends = np.cumsum([sum(of_side) for of_side in counts.values()])
    sides = {side: np.arange(end - sum(counts[side]), end) for side, end in zip(counts, ends, strict=True)}
    names = ("",) * len(labels)
    pixels = np.zeros((len(labels), 1, 1, 3), np.uint8)
    dataset = Dataset(
        "made", classes, names, labels.astype(np.int32), pixels, names, np.arange(len(labels), dtype=np.int32)
    )
    return dataset, Split("given", 0, {"train": [], "val": [], "test": []} | sides)


def test_every_class_has_its_images_of_each_side_that_there_is():
    table = class_table(*divided(("cat", "dog"), train=[3, 2000], val=[1, 0]))
    assert [line.split() for line in table.splitlines()] == [
        ["class", "train", "val"],
        ["cat", "3", "1"],
        ["dog", "2,000", "0"],
        ["all", "2", "classes", "2,003", "1"],
    ]
    assert class_table(*divided(("a", "b"), train=[1, 1], val=[1, 1], test=[7, 8])).splitlines()[2].split()[3] == "8"


def test_many_classes_are_cut_to_the_largest_and_the_smallest_with_a_count():
    count = 60
    sizes = list(range(1, count + 1))
    lines = class_table(*divided(tuple(f"c{size}" for size in sizes), train=sizes, val=[1] * count)).splitlines()
    assert len(lines) == SHOWN + 3 and lines[1].split()[0] == "c60" and lines[-2].split()[0] == "c1"
    assert lines[1 + SHOWN // 2].split() == ["(40", "more", "classes)", "11", "to", "50", "1"]


def test_the_table_fits_80_columns_and_shows_no_control_characters():
    names = ("x" * 300, "飯" * 60, "\x1b[31mred\n", *(f"class {number}" for number in range(30)))
    sizes = [20_000 + number for number in range(len(names))]
    lines = class_table(*divided(names, train=sizes, val=sizes, test=sizes)).splitlines()
    assert len(lines) == SHOWN + 3 and max(map(len, lines)) <= 80
    (wide,) = [line for line in lines if "飯" in line]
    assert 2 * wide.count("飯") <= NAME_COLUMNS and len(wide) + wide.count("飯") <= 80
    assert all(line.isprintable() for line in lines)

"""Classes whose names are probably mistakes are warned of, whatever the source."""

import pytest

from resjax.data.sources.class_names import class_warnings
from resjax.data.sources.opening import open_catalogue
from tests.image_files import write_images


@pytest.mark.parametrize(
    "classes", [("Cat", "cat"), ("cat", "cat "), ("soto_ayam", "soto ayam"), ("nan", "x"), ("None", "x"), ("N/A", "x")]
)
def test_names_that_are_probably_mistakes_get_a_line_with_their_images(classes):
    (warning,) = class_warnings(classes, [3, 4])
    assert repr(classes[0]) in warning and "3 images" in warning


def test_other_names_get_none_and_a_long_list_is_cut():
    assert class_warnings(["cat", "cats", "-", "_", "nano", ""], [1] * 6) == []
    (warning,) = class_warnings([*"abcde", *"ABCDE"], [1] * 10)
    assert "'c'" in warning and "'d'" not in warning and "2 more" in warning


def test_folders_are_warned_of_too(tmp_path):
    write_images(tmp_path, "cat/1.png", "Cat/1.png", "nan/1.png")
    assert len(open_catalogue(f"folder:{tmp_path}", image_size=8).notes) == 2

"""Folders of classes, and sides of such folders: which is which, what is kept as it is, and what is refused."""

import os
import unicodedata

import pytest

from resjax.data.sources.opening import open_catalogue
from tests.image_files import labels_by_id, reasons, refusal, sides_by_id, write_images


def test_a_folder_a_class_gives_relative_paths_as_ids(tmp_path):
    write_images(tmp_path, "soto/1.png", "bakso/1.png", "bakso/more/2.png", "stray.png", ".git/x", "soto/.DS_Store")
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert labels_by_id(catalogue) == {"bakso/1.png": "bakso", "bakso/more/2.png": "bakso", "soto/1.png": "soto"}
    assert reasons(catalogue) == {"file outside a class folder": 1, "hidden file": 2} and catalogue.sides is None


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("Train", "valid", "Testing"), ("training", "validation", "TEST")],
)
def test_sides_are_kept_as_they_are(train, val, test, tmp_path):
    names = [f"{train}/x/1.png", f"{train}/y/1.png", f"{val}/x/2.png", f"{val}/y/deep/2.png"]
    write_images(tmp_path, *names, f"{test}/y/3.png", f"{test}/x/3.png")
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert catalogue.classes == ("x", "y") and not catalogue.exclusions
    assert sides_by_id(catalogue) == {
        f"{train}/x/1.png": "train",
        f"{train}/y/1.png": "train",
        f"{val}/x/2.png": "val",
        f"{val}/y/deep/2.png": "val",
        f"{test}/x/3.png": "test",
        f"{test}/y/3.png": "test",
    }
    assert labels_by_id(catalogue)[f"{val}/y/deep/2.png"] == "y"


def test_val_and_test_may_be_absent(tmp_path):
    write_images(tmp_path, "train/x/1.png", "train/y/1.png")
    assert set(open_catalogue(f"folder:{tmp_path}", image_size=8).sides) == {"train"}
    write_images(tmp_path, "test/x/1.png", "test/y/1.png")
    assert set(open_catalogue(f"folder:{tmp_path}", image_size=8).sides) == {"train", "test"}


def test_a_class_that_train_lacks_is_refused(tmp_path):
    write_images(tmp_path, "train/x/1.png", "train/y/1.png", "val/x/1.png", "val/z/1.png")
    text = refusal(f"folder:{tmp_path}")
    assert all(word in text for word in ("'z'", "val", "train"))


def test_a_class_that_another_side_lacks_is_listed_and_stays(tmp_path):
    write_images(tmp_path, "train/x/1.png", "train/y/1.png", "val/x/1.png", "test/y/1.png")
    (tmp_path / "val" / "y").mkdir()
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert catalogue.classes == ("x", "y")
    assert {(e.id, e.reason) for e in catalogue.exclusions} == {
        ("y", "class without an image in val"),
        ("x", "class without an image in test"),
    }


def test_files_of_a_side_that_lie_in_no_class_are_listed(tmp_path):
    write_images(tmp_path, "train/x/1.png", "train/y/1.png", "test/x/1.png", "test/y/1.png", "test/1.png", "notes.txt")
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert reasons(catalogue) == {"file outside a class folder": 2} and len(catalogue.ids) == 4


def test_train_may_be_a_class_among_others(tmp_path):
    write_images(tmp_path, "bus/1.png", "train/1.png", "train/steam/2.png")
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert catalogue.classes == ("bus", "train") and catalogue.sides is None


@pytest.mark.parametrize(
    ("names", "named"),
    [
        ((), "folder:"),
        (("stray.png",), "1 file outside a class folder"),
        (("x/1.png",), "'x'"),
        (("data/x/1.png", "data/y/1.png"), "/data?)"),
        (("x/1.png", "x/more/2.png", "x/others/3.png"), "'x'"),
        (("train/x/1.png", "val/x/1.png"), "'x'"),
        (("train/1.png", "val/1.png"), "2 file outside a class folder"),
        (("val/x/1.png", "test/y/1.png"), "test and val"),
        (("train/x/1.png", "val/x/1.png", "valid/y/1.png"), "train and val and valid"),
        (("train/x/1.png", "train/y/1.png", "more/1.png"), "'more'"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(names, named, tmp_path):
    write_images(tmp_path, *names)
    assert named in refusal(f"folder:{tmp_path}")


def test_an_archive_has_to_be_unpacked(tmp_path):
    (tmp_path / "images.zip").touch()
    assert "images.zip" in refusal(f"folder:{tmp_path}/images.zip")


SYSTEM_FOLDERS = ("@eaDir", "lost+found", "System Volume Information", "$RECYCLE.BIN", ".ipynb_checkpoints", "__MACOSX")


@pytest.mark.parametrize("place", ["", "x/", "train/", "train/x/"])
@pytest.mark.parametrize("folder", SYSTEM_FOLDERS)
def test_folders_of_systems_are_no_classes_at_any_depth_and_are_listed(folder, place, tmp_path):
    side = "train/" if place.startswith("train") else ""
    write_images(tmp_path, f"{side}x/1.png", f"{side}y/1.png", f"{place}{folder}/1.png", f"{place}{folder}/deep/1.png")
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert catalogue.classes == ("x", "y") and len(catalogue.ids) == 2
    assert [(each.id, each.reason) for each in catalogue.exclusions] == [(f"{place}{folder}", "folder of the system")]


def test_what_resjax_wrote_into_a_folder_of_images_is_no_class(tmp_path):
    write_images(tmp_path, "x/1.png", "y/1.png")
    # Of a comparison on one split, of one on several, of an audit, of a sweep, and of a reproduction.
    for folder, records in (
        ("runs/mine", ("config.flags", "summary.json")),
        ("folds", ("config.flags", "splits.json")),
        ("x/audit", ("dataset.json", "audit.html")),
        ("grid", ("sweep.json", "cells/a/summary.json")),
        ("paper", ("reproduction.json", "reproduction.html")),
    ):
        write_images(tmp_path / folder, "figures/curves.png", *records)
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert labels_by_id(catalogue) == {"x/1.png": "x", "y/1.png": "y"}
    assert {each.id for each in catalogue.exclusions} == {"runs/mine", "folds", "x/audit", "grid", "paper"}
    assert reasons(catalogue) == {"folder of resjax": 5}


def test_a_workdir_is_no_folder_of_images(tmp_path):
    write_images(tmp_path / "run", "figures/1.png", "runs/plain8/1.png", "config.flags", "summary.json")
    assert "run" in refusal(f"folder:{tmp_path}/run")


@pytest.mark.parametrize("side", ["", "train/", "val/"])
def test_a_class_folder_without_images_is_refused(side, tmp_path):
    write_images(tmp_path, f"{side}x/1.png", f"{side}y/1.png", "train/x/1.png" if side else "x/2.png")
    (tmp_path / side / "z").mkdir()
    (tmp_path / side / "z" / ".DS_Store").touch()
    assert "class 'z'" in refusal(f"folder:{tmp_path}")


def test_class_folders_may_be_links_and_circles_are_listed(tmp_path):
    write_images(tmp_path / "elsewhere", "1.png")
    write_images(tmp_path / "data", "x/1.png")
    (tmp_path / "data" / "y").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "x" / "round").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "round").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "x" / "gone.png").symlink_to(tmp_path / "gone.png")
    catalogue = open_catalogue(f"folder:{tmp_path}/data", image_size=8)
    assert labels_by_id(catalogue) == {"x/1.png": "x", "y/1.png": "y"}
    assert reasons(catalogue) == {"link in a circle": 2, "broken link": 1}


def test_a_class_is_one_class_in_both_forms_of_unicode_and_with_spaces(tmp_path):
    composed, parted = (unicodedata.normalize(form, "gadó gadó") for form in ("NFC", "NFD"))
    write_images(tmp_path, f"train/{composed}/1 1.png", "train/x/1.png", f"val/{parted}/2.png", "val/x/1.png")
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert catalogue.classes == (composed, "x") and not catalogue.exclusions
    assert f"val/{composed}/2.png" in catalogue.ids and all(catalogue.read(image) for image in range(4))


def test_a_class_of_any_bytes_becomes_text(tmp_path):
    write_images(tmp_path, "x/1.png")
    try:
        os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    with open(os.fsencode(tmp_path) + b"/\xff/1.png", "wb") as file:
        file.write(b"odd")
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert catalogue.classes == ("\\xff", "x") and catalogue.read(0) == b"odd"

"""Every source becomes one catalogue, nothing is left out silently, and what cannot be used is said in one line."""

import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from resjax.data.sources import SYNTHETIC_COUNT, open_catalogue
from resjax.types import BadInput


def write_images(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (len(name), 0, 0)).save(path, "PNG")


def write_csv(folder: Path, *rows: str, header: str = "filename,label") -> str:
    path = folder / "train.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return f"csv:{path}"


def labels_by_id(catalogue) -> dict[str, str]:
    return {name: catalogue.classes[label] for name, label in zip(catalogue.ids, catalogue.labels, strict=True)}


def reasons(catalogue) -> dict[str, int]:
    return Counter(exclusion.reason for exclusion in catalogue.exclusions)


def one_line(refused) -> str:
    text = str(refused.value)
    assert text and "\n" not in text
    return text


def test_a_csv_gives_labels_and_the_bytes_of_the_folder_beside_it(tmp_path):
    write_images(tmp_path / "train", "b.jpg", "a.jpg", "deep/c.jpg")
    catalogue = open_catalogue(write_csv(tmp_path, "b.jpg,soto", "a.jpg,bakso", "./deep//c.jpg,soto"), image_size=8)
    assert catalogue.classes == ("bakso", "soto") and catalogue.labels.dtype == "int32"
    assert labels_by_id(catalogue) == {"a.jpg": "bakso", "b.jpg": "soto", "deep/c.jpg": "soto"}
    assert catalogue.ids == tuple(sorted(catalogue.ids)) and not catalogue.exclusions
    assert catalogue.read(1) == (tmp_path / "train" / "b.jpg").read_bytes()


def test_the_image_folder_can_be_named_and_may_hold_the_csv(tmp_path):
    write_images(tmp_path, "a.jpg", "b.jpg")
    catalogue = open_catalogue(write_csv(tmp_path, "a.jpg,x", "b.jpg,y"), image_dir=tmp_path, image_size=8)
    assert catalogue.ids == ("a.jpg", "b.jpg") and not catalogue.exclusions


def test_a_byte_order_mark_carriage_returns_quotes_and_further_columns_are_understood(tmp_path):
    write_images(tmp_path / "train", "a, 1.jpg", "b.jpg")
    text = 'who,label ,filename\r\n"me, myself",x,"a, 1.jpg"\r\nyou, y ,b.jpg\r\n'
    (tmp_path / "train.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    catalogue = open_catalogue(f"csv:{tmp_path}/train.csv", image_size=8)
    assert labels_by_id(catalogue) == {"a, 1.jpg": "x", "b.jpg": "y"} and not catalogue.exclusions


def test_every_row_and_file_that_is_left_out_is_an_exclusion_with_its_place(tmp_path):
    write_images(tmp_path / "train", "a.jpg", "b.jpg", "twice.jpg", "torn.jpg", "bare.jpg", "extra.jpg", ".hidden")
    write_images(tmp_path, "outside.jpg")
    rows = ["a.jpg,x", ",", "", "b.jpg,y", "gone.jpg,x", "bare.jpg,", "bare.jpg", ",x"]
    rows += ["../outside.jpg,x", f"{tmp_path}/outside.jpg,x"]
    rows += ["twice.jpg,x", "twice.jpg,x", "torn.jpg,x", "torn.jpg,y"]
    catalogue = open_catalogue(write_csv(tmp_path, *rows), image_size=8)
    assert labels_by_id(catalogue) == {"a.jpg": "x", "b.jpg": "y", "twice.jpg": "x"}
    assert reasons(catalogue) == {
        "blank row": 2,
        "row without a file": 1,
        "row without a label": 2,
        "row without a filename": 1,
        "path outside the image folder": 2,
        "duplicate row": 1,
        "contradicting labels": 2,
        "file without a row": 1,
        "hidden file": 1,
    }
    found = {(exclusion.id, exclusion.detail) for exclusion in catalogue.exclusions}
    assert {("row 3", ""), ("row 4", ""), ("gone.jpg", "row 6"), ("twice.jpg", "row 13")} <= found
    assert {("torn.jpg", "row 14: x"), ("torn.jpg", "row 15: y"), ("extra.jpg", "")} <= found


def test_a_folder_a_class_gives_relative_paths_as_ids(tmp_path):
    write_images(tmp_path, "soto/1.png", "bakso/1.png", "bakso/more/2.png", "stray.png", ".git/x", "soto/.DS_Store")
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert labels_by_id(catalogue) == {"bakso/1.png": "bakso", "bakso/more/2.png": "bakso", "soto/1.png": "soto"}
    assert reasons(catalogue) == {"file outside a class folder": 1, "hidden file": 2}


def test_linked_class_folders_are_followed_and_a_link_in_a_circle_is_not(tmp_path):
    write_images(tmp_path / "elsewhere", "1.png")
    write_images(tmp_path / "data", "x/1.png")
    (tmp_path / "data" / "y").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "x" / "round").symlink_to(tmp_path / "data")
    assert open_catalogue(f"folder:{tmp_path}/data", image_size=8).ids == ("x/1.png", "y/1.png")


def test_a_file_name_of_any_bytes_becomes_text_and_is_read(tmp_path):
    write_images(tmp_path, "x/1.png", "y/1.png")
    odd = os.fsencode(tmp_path / "x") + b"/\xff.png"
    try:
        with open(odd, "wb") as file:
            file.write(b"odd")
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    (name,) = set(catalogue.ids) - {"x/1.png", "y/1.png"}
    assert name.encode() and catalogue.read(catalogue.ids.index(name)) == b"odd"


def test_synthetic_needs_nothing_and_takes_a_count():
    assert len(open_catalogue("synthetic", image_size=8).ids) == SYNTHETIC_COUNT
    catalogue = open_catalogue("synthetic:20", image_size=8)
    assert len(catalogue.ids) == 20 and len(catalogue.classes) == 5
    assert catalogue.ids == tuple(sorted(catalogue.ids)) and len(set(catalogue.ids)) == 20
    for name, label in labels_by_id(catalogue).items():
        assert name.startswith(label)
    assert catalogue.read(3).startswith(b"\x89PNG") and catalogue.read(3) == catalogue.read(3)


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("sinthetic", "did you mean synthetic?"),
        ("cvs:train.csv", "did you mean csv?"),
        ("tfds:cifar10", "folder:PATH"),
        ("", "synthetic"),
        ("synthetic:many", "synthetic:many"),
        ("synthetic:3", "from 10"),
        ("csv:nowhere.csv", "nowhere.csv"),
        ("folder:nowhere", "nowhere"),
    ],
)
def test_an_unknown_or_absent_source_is_refused_in_one_line(spec, named):
    with pytest.raises(BadInput) as refused:
        open_catalogue(spec, image_size=8)
    assert named in one_line(refused)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"name,class\na.png,x\n", "found: name, class"),
        (b"filename;label\na.png;x\n", "found: filename;label"),
        (b"", "found: none"),
        (b"filename,label\n", "nothing is there"),
        (b"filename,label\n,\ngone.png,x\n", "1 blank row, 1 row without a file"),
        (b"filename,label\na.png,x\n", "only class"),
        ("filename,label\na.png,x\n".encode("utf-16"), "UTF-8"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_in_one_line(content, named, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "train.csv").write_bytes(content)
    if b"a.png,x" in content:
        write_images(tmp_path / "images", "a.png")
    with pytest.raises(BadInput) as refused:
        open_catalogue(f"csv:{tmp_path}/train.csv", image_dir=tmp_path / "images", image_size=8)
    assert named in one_line(refused)


def test_the_columns_are_checked_before_the_image_folder(tmp_path):
    with pytest.raises(BadInput, match="found: name, class"):
        open_catalogue(write_csv(tmp_path, "a.jpg,x", header="name,class"), image_size=8)


def test_a_csv_without_its_image_folder_is_refused_with_the_place_that_was_looked_at(tmp_path):
    spec = write_csv(tmp_path, "a.jpg,x")
    with pytest.raises(BadInput, match=f"{tmp_path}/train,"):
        open_catalogue(spec, image_size=8)


@pytest.mark.parametrize(
    ("names", "named"),
    [
        ((), "no images"),
        (("stray.png",), "1 file outside a class folder"),
        (("x/1.png",), "only class"),
        (("train/x/1.png", "val/x/1.png"), "sides of a split"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_in_one_line(names, named, tmp_path):
    write_images(tmp_path, *names)
    with pytest.raises(BadInput) as refused:
        open_catalogue(f"folder:{tmp_path}", image_size=8)
    assert named in one_line(refused)


def test_an_empty_class_folder_is_refused(tmp_path):
    write_images(tmp_path, "x/1.png", "y/1.png")
    (tmp_path / "z").mkdir()
    with pytest.raises(BadInput, match="class 'z'"):
        open_catalogue(f"folder:{tmp_path}", image_size=8)


def test_an_image_folder_is_refused_where_it_means_nothing(tmp_path):
    with pytest.raises(BadInput, match="csv:PATH alone"):
        open_catalogue("synthetic", image_dir=tmp_path, image_size=8)

"""Every row of a csv becomes an image or a listed exclusion; a csv that cannot be used is refused in one line."""

import unicodedata

import pytest

from resjax.data.sources.opening import open_catalogue
from tests.image_files import labels_by_id, reasons, refusal, write_csv, write_images


def test_a_csv_gives_labels_and_the_bytes_of_the_folder_beside_it(tmp_path):
    write_images(tmp_path / "train", "b.jpg", "a.jpg", "deep/c.jpg")
    catalogue = open_catalogue(write_csv(tmp_path, "b.jpg,soto", "a.jpg,bakso", "./deep//c.jpg,soto"), image_size=8)
    assert catalogue.classes == ("bakso", "soto") and catalogue.labels.dtype == "int32"
    assert labels_by_id(catalogue) == {"a.jpg": "bakso", "b.jpg": "soto", "deep/c.jpg": "soto"}
    assert catalogue.ids == tuple(sorted(catalogue.ids)) and not catalogue.exclusions and catalogue.sides is None
    assert catalogue.read(1) == (tmp_path / "train" / "b.jpg").read_bytes()


def test_the_image_folder_can_be_named_and_may_hold_the_csv(tmp_path):
    write_images(tmp_path, "a.jpg", "b.jpg")
    catalogue = open_catalogue(write_csv(tmp_path, "a.jpg,x", "b.jpg,y"), image_dir=tmp_path, image_size=8)
    assert catalogue.ids == ("a.jpg", "b.jpg") and not catalogue.exclusions


def test_a_byte_order_mark_carriage_returns_quotes_and_further_columns_are_understood(tmp_path):
    write_images(tmp_path / "train", "a, 1.jpg", 'the "b".jpg')
    text = 'who,label ,filename\r\n"me, myself",x,"a, 1.jpg"\r\nyou, y ,"the ""b"".jpg"\r\n'
    (tmp_path / "train.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    catalogue = open_catalogue(f"csv:{tmp_path}/train.csv", image_size=8)
    assert labels_by_id(catalogue) == {"a, 1.jpg": "x", 'the "b".jpg': "y"} and not catalogue.exclusions


def test_every_row_and_file_that_is_left_out_is_an_exclusion_with_its_place(tmp_path):
    write_images(tmp_path / "train", "a.jpg", "b.jpg", "twice.jpg", "torn.jpg", "bare.jpg", "extra.jpg", ".hidden")
    write_images(tmp_path, "outside.jpg")
    rows = ["a.jpg,x", ",", "", "b.jpg,y", "gone.jpg,x", "bare.jpg,", "bare.jpg, ", ",x"]
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


def test_paths_that_climb_out_are_refused_however_they_are_written(tmp_path):
    write_images(tmp_path / "train", "a.jpg", "b.jpg")
    write_images(tmp_path, "secret.jpg", "trained/c.jpg")
    outside = ["../secret.jpg", "x/../../secret.jpg", f"{tmp_path}/secret.jpg", f"{tmp_path}/train/../secret.jpg"]
    outside += ["..", f"{tmp_path}/trained/c.jpg", "/etc/passwd", "//etc/passwd"]
    catalogue = open_catalogue(write_csv(tmp_path, "a.jpg,x", "b.jpg,y", *(f"{p},x" for p in outside)), image_size=8)
    assert catalogue.ids == ("a.jpg", "b.jpg")
    assert [(e.id, e.reason) for e in catalogue.exclusions] == [(p, "path outside the image folder") for p in outside]


def test_an_absolute_path_into_the_image_folder_names_the_same_file(tmp_path):
    write_images(tmp_path / "train", "a.jpg", "b.jpg")
    catalogue = open_catalogue(write_csv(tmp_path, f"{tmp_path}/train/a.jpg,x", "b.jpg,y", "a.jpg,x"), image_size=8)
    assert labels_by_id(catalogue) == {"a.jpg": "x", "b.jpg": "y"} and reasons(catalogue) == {"duplicate row": 1}


def test_names_and_classes_in_either_form_of_unicode_and_with_spaces_are_the_same(tmp_path):
    composed, parted = (unicodedata.normalize(form, "gadó gadó") for form in ("NFC", "NFD"))
    write_images(tmp_path / "train", f"{parted} 1.jpg", f"{composed} 2.jpg", "飯.jpg")
    rows = [f"{composed} 1.jpg,{parted}", f"{parted} 2.jpg,{composed}", "飯.jpg, nasi goreng "]
    catalogue = open_catalogue(write_csv(tmp_path, *rows), image_size=8)
    assert catalogue.classes == (composed, "nasi goreng") and not catalogue.exclusions
    assert set(catalogue.ids) == {f"{composed} 1.jpg", f"{composed} 2.jpg", "飯.jpg"}
    assert all(catalogue.read(image) for image in range(3))


def test_links_to_images_elsewhere_are_followed_and_broken_ones_listed(tmp_path):
    write_images(tmp_path / "store", "1", "2")
    folder = tmp_path / "train"
    folder.mkdir()
    for name, target in (("a.jpg", "1"), ("b.jpg", "2"), ("gone.jpg", "3"), ("unnamed.jpg", "3")):
        (folder / name).symlink_to(tmp_path / "store" / target)
    catalogue = open_catalogue(write_csv(tmp_path, "a.jpg,x", "b.jpg,y", "gone.jpg,x"), image_size=8)
    assert catalogue.ids == ("a.jpg", "b.jpg")
    assert [(e.id, e.reason, e.detail) for e in catalogue.exclusions] == [
        ("gone.jpg", "broken link", "row 4"),
        ("unnamed.jpg", "broken link", ""),
    ]


def test_a_class_of_which_no_image_is_left_is_listed(tmp_path):
    write_images(tmp_path / "train", "a.jpg", "b.jpg")
    catalogue = open_catalogue(write_csv(tmp_path, "a.jpg,x", "b.jpg,z", "gone.jpg,y"), image_size=8)
    assert labels_by_id(catalogue) == {"a.jpg": "x", "b.jpg": "z"}
    assert reasons(catalogue) == {"row without a file": 1, "class without an image": 1}
    assert catalogue.exclusions[-1].id == "y"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"name,class\na.png,x\n", "name, class"),
        (b"filename;group\na.png;x\n", "filename, group (separated by semicolons)"),
        (b"filename,label,label\na.png,x,y\n", "filename, label, label"),
        (b"", "none"),
        (b"filename,label\n", "train.csv"),
        (b"filename,label\n,\ngone.png,x\n", "1 blank row, 1 row without a file"),
        (b"filename,label\na.png,x\n", "'x'"),
        (b'filename,label\n"a.png,x\n' + b"x" * 200_000, "field larger"),
        ("filename,label\na.png,x\n".encode("utf-16-le"), "UTF-8"),
        (b"PK\x03\x04filename,label\n", "Excel"),
        (b"filename,label\na.png,\x81\n", "UTF-8"),
    ],
    ids=lambda value: value[:40] if isinstance(value, bytes) else None,
)
def test_a_csv_that_cannot_be_used_is_refused_in_one_line(content, named, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "train.csv").write_bytes(content)
    if b"a.png,x" in content:
        write_images(tmp_path / "images", "a.png")
    assert named in refusal(f"csv:{tmp_path}/train.csv", image_dir=tmp_path / "images")


def test_the_columns_are_checked_before_the_image_folder(tmp_path):
    assert "name, class" in refusal(write_csv(tmp_path, "a.jpg,x", header="name,class"))


def test_a_csv_without_its_image_folder_is_refused_with_the_place_that_was_looked_at(tmp_path):
    text = refusal(write_csv(tmp_path, "a.jpg,x"))
    assert f"{tmp_path}/train;" in text and "image_dir" in text


@pytest.mark.parametrize(
    ("row", "shown"), [("b.jpg,dog, beagle", "'beagle'"), ("b.jpg", "'b.jpg'"), ('b.jpg,"dog\nc.jpg,cat', "row 3")]
)
def test_a_row_that_does_not_fit_the_header_is_refused_with_its_number_and_cells(row, shown, tmp_path):
    write_images(tmp_path / "train", "a.jpg", "b.jpg")
    text = refusal(write_csv(tmp_path, "a.jpg,cat", row))
    assert "row 3" in text and shown in text


def test_a_line_break_inside_a_label_is_refused(tmp_path):
    write_images(tmp_path / "train", "a.jpg", "b.jpg", "c.jpg")
    assert "row 2" in refusal(write_csv(tmp_path, 'a.jpg,"cat', "b.jpg,dog", 'c.jpg,"bird"'))


def test_a_column_of_sides_is_the_split_that_the_images_come_with(tmp_path):
    write_images(tmp_path / "train", *(f"{name}.jpg" for name in "abcdef"))
    rows = ["a.jpg,x,Train", "b.jpg,y,train", "c.jpg,x,VAL", "d.jpg,y,valid", "e.jpg,x,test", "f.jpg,y,Testing"]
    catalogue = open_catalogue(write_csv(tmp_path, *rows, header="filename,label,Split"), image_size=8)
    assert catalogue.sides == ("train", "train", "val", "val", "test", "test")
    assert any("Split" in note for note in catalogue.notes)


def test_a_column_of_other_things_is_no_split_and_is_named(tmp_path):
    write_images(tmp_path / "train", "a.jpg", "b.jpg")
    catalogue = open_catalogue(
        write_csv(tmp_path, "a.jpg,x,0", "b.jpg,y,1", header="filename,label,split"), image_size=8
    )
    assert catalogue.sides is None and any("split" in note and "'0', '1'" in note for note in catalogue.notes)


@pytest.mark.parametrize(
    ("sides", "named"),
    [(("train", "tset"), "row 3 has 'tset'"), (("train", ""), "row 3"), (("val", "test"), "no train")],
)
def test_sides_that_are_incomplete_are_refused(sides, named, tmp_path):
    write_images(tmp_path / "train", "a.jpg", "b.jpg")
    rows = [f"{name},{label},{side}" for name, label, side in zip(("a.jpg", "b.jpg"), "xy", sides, strict=True)]
    assert named in refusal(write_csv(tmp_path, *rows, header="filename,label,split"))


def test_rows_that_contradict_each_other_about_a_file_are_left_out_however_they_name_it(tmp_path):
    write_images(tmp_path / "train", *(f"{name}.jpg" for name in "abcde"))
    rows = ["a.jpg,x,train", "b.jpg,y,train", "c.jpg,x,train", "C.JPG,y,train", "d.jpg,x,train", "/data/d.jpg,x,val"]
    rows += ["e,x,train", "e.jpg,x,train"]
    catalogue = open_catalogue(write_csv(tmp_path, *rows, header="filename,label,split"), image_size=8)
    assert labels_by_id(catalogue) == {"a.jpg": "x", "b.jpg": "y", "e.jpg": "x"}
    assert reasons(catalogue) == {"contradicting labels": 2, "contradicting splits": 2, "duplicate row": 1}


def test_names_that_are_matched_or_lost_are_counted_with_an_example(tmp_path):
    write_images(tmp_path / "train", "IMG_1.jpg", "IMG_2.jpg", "IMG_3.jpg")
    rows = ["C:\\data\\IMG_1.jpg,x", "img_2,y", "IMG_33.JPG,x"]
    catalogue = open_catalogue(write_csv(tmp_path, *rows), image_size=8)
    assert labels_by_id(catalogue) == {"IMG_1.jpg": "x", "IMG_2.jpg": "y"}
    matched, lost = catalogue.notes
    assert "2 of 3" in matched and "row 2" in matched and "'IMG_1.jpg'" in matched
    assert "1 of 3" in lost and "row 4" in lost and "'IMG_3.jpg'" in lost


def test_a_csv_of_which_no_file_is_there_is_refused_with_the_nearest_file(tmp_path):
    write_images(tmp_path / "train", "photo_0001.jpg", "photo_0002.jpg")
    text = refusal(write_csv(tmp_path, "photo-1.jpg,x", "photo-2.jpg,y"))
    assert "'photo-1.jpg'" in text and "'photo_0001.jpg'" in text


def test_classes_that_are_probably_mistakes_are_warned_of(tmp_path):
    write_images(tmp_path / "train", "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    catalogue = open_catalogue(write_csv(tmp_path, "a.jpg,Cat", "b.jpg, cat", "c.jpg,NaN", "d.jpg,dog"), image_size=8)
    assert catalogue.classes == ("Cat", "NaN", "cat", "dog")
    alike, missing = catalogue.notes
    assert "'Cat' (1 image) and 'cat' (1 image)" in alike and "'NaN' (1 image)" in missing

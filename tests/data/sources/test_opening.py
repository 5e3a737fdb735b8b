"""Every kind of source opens by its name; a source that cannot be used is refused in one line."""

import pytest

from resjax.data.decoding import decode
from resjax.data.sources.opening import SYNTHETIC_COUNT, open_catalogue
from tests.image_files import labels_by_id, refusal, write_images


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
        ("tdfs:cifar10", "did you mean tfds?"),
        ("", "tfds:NAME"),
        ("synthetic:many", "synthetic:many"),
        ("synthetic:3", "10"),
        ("csv:nowhere.csv", "nowhere.csv"),
        ("folder:nowhere", "nowhere"),
        ("folder:", "folder:PATH"),
        ("csv:", "csv:PATH"),
    ],
)
def test_an_unknown_or_absent_source_is_refused_in_one_line(spec, named):
    assert named in refusal(spec)


def test_a_path_without_its_kind_is_refused_with_the_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path, "mine/x/1.png")
    (tmp_path / "all.csv").touch()
    assert "did you mean folder:mine?" in refusal("mine")
    assert "did you mean csv:all.csv?" in refusal("all.csv")


@pytest.mark.parametrize("spec", ["synthetic", "folder:{}", "tfds:mnist"])
def test_an_image_folder_is_refused_where_it_means_nothing(spec, tmp_path):
    text = refusal(spec.format(tmp_path), image_dir=tmp_path)
    assert "image_dir" in text and "csv:PATH" in text


@pytest.mark.parametrize("spec", ["synthetic", "folder:{}", "csv:train.csv"])
def test_a_data_folder_is_refused_where_it_means_nothing(spec, tmp_path):
    text = refusal(spec.format(tmp_path), data_dir=tmp_path)
    assert "data_dir" in text and "tfds:NAME" in text


@pytest.mark.parametrize("kind", ["csv", "folder"])
def test_empty_files_and_files_that_are_no_images_are_listed_as_unreadable(kind, tmp_path):
    write_images(tmp_path, "x/1.png", "y/1.png")
    (tmp_path / "x" / "empty.png").touch()
    (tmp_path / "y" / "notes.txt").write_text("no image")
    rows = "x/1.png,x\ny/1.png,y\nx/empty.png,x\ny/notes.txt,y\n"
    (tmp_path / "all.csv").write_text("filename,label\n" + rows)
    if kind == "csv":
        catalogue = open_catalogue(f"csv:{tmp_path}/all.csv", image_dir=tmp_path, image_size=8)
    else:
        (tmp_path / "all.csv").unlink()
        catalogue = open_catalogue(f"folder:{tmp_path}", image_size=8)
    dataset = decode(catalogue, 8, cache_dir=tmp_path / "cache")
    assert dataset.ids == ("x/1.png", "y/1.png")
    assert {(e.id, e.reason) for e in dataset.exclusions} == {
        ("x/empty.png", "unreadable"),
        ("y/notes.txt", "unreadable"),
    }

"""Files are found whatever they are called and wherever links lead, and nothing is waited for or walked for ever."""

import os
import unicodedata

import pytest

from resjax.data.sources.files import find_files
from resjax.errors import BadInput
from tests.image_files import write_images


def test_files_are_named_by_their_path_below_the_folder(tmp_path):
    write_images(tmp_path, "a b.png", "deep/er/c.png", ".hidden/d.png")
    found = find_files(tmp_path)
    assert found.paths == {name: tmp_path / name for name in ("a b.png", "deep/er/c.png", ".hidden/d.png")}
    assert not found.unusable


def test_a_name_is_the_same_name_in_both_forms_of_unicode(tmp_path):
    composed, parted = (unicodedata.normalize(form, "gadó.png") for form in ("NFC", "NFD"))
    write_images(tmp_path, parted)
    found = find_files(tmp_path)
    assert list(found.paths) == [composed]
    assert found.name(parted) == found.name(composed) == composed
    assert found.paths[composed].read_bytes()


def test_two_files_that_differ_in_the_form_of_unicode_alone_keep_their_names(tmp_path):
    composed, parted = (unicodedata.normalize(form, "gadó.png") for form in ("NFC", "NFD"))
    write_images(tmp_path, parted, composed)
    if len(list(tmp_path.iterdir())) == 1:
        pytest.skip("to this file system they are one name")
    found = find_files(tmp_path)
    assert set(found.paths) == {parted, composed}
    assert found.name(parted) == parted and found.name(composed) == composed


def test_a_file_name_of_any_bytes_becomes_text_and_is_read(tmp_path):
    try:
        with open(os.fsencode(tmp_path) + b"/\xff.png", "wb") as file:
            file.write(b"odd")
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    ((name, path),) = find_files(tmp_path).paths.items()
    assert name.encode() and path.read_bytes() == b"odd"


def test_links_are_followed_to_files_and_folders_elsewhere(tmp_path):
    write_images(tmp_path / "elsewhere", "1.png")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "file.png").symlink_to(tmp_path / "elsewhere" / "1.png")
    (folder / "twice").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(tmp_path / "elsewhere")
    assert set(find_files(folder).paths) == {"file.png", "twice/1.png", "again/1.png"}


def test_links_that_lead_nowhere_or_in_circles_are_named(tmp_path):
    write_images(tmp_path, "x/1.png", "y/1.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    (tmp_path / "x" / "up").symlink_to(tmp_path)
    (tmp_path / "y" / "to_x").symlink_to(tmp_path / "x")
    (tmp_path / "x" / "to_y").symlink_to(tmp_path / "y")
    found = find_files(tmp_path)
    assert set(found.paths) == {"x/1.png", "y/1.png", "x/to_y/1.png", "y/to_x/1.png"}
    assert found.unusable == {
        "gone.png": "broken link",
        "self.png": "broken link",
        "x/up": "link in a circle",
        "x/to_y/to_x": "link in a circle",
        "y/to_x/up": "link in a circle",
        "y/to_x/to_y": "link in a circle",
    }


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert find_files(tmp_path).unusable == {"pipe.png": "neither file nor folder"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_read_is_refused_by_its_name(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(BadInput, match="closed"):
        find_files(tmp_path)

"""A name in a csv stands for at most one file, and never for one outside of the folder."""

from pathlib import Path

import pytest

from resjax.data.sources.file_matching import NO_FILE, OUTSIDE, SEVERAL_FILES, FileMatcher, Match
from resjax.data.sources.files import FoundFiles


def matcher(*names: str) -> FileMatcher:
    folder = Path("/photos")
    return FileMatcher(FoundFiles({name: folder / name for name in names}, {}), folder)


@pytest.mark.parametrize(
    ("text", "file"),
    [
        ("C:\\data\\img\\a.jpg", "a.jpg"),
        ("\\\\server\\share\\dogs\\1.png", "dogs/1.png"),
        ("dogs\\1.png", "dogs/1.png"),
        ("/content/drive/x/a.jpg", "a.jpg"),
        ("photos/dogs/1.png", "dogs/1.png"),
        ("A.JPG", "a.jpg"),
        ("Dogs/1", "dogs/1.png"),
        ("a", "a.jpg"),
        ("1.png", "dogs/1.png"),
        ("D:\\Photos\\DOGS\\1", "dogs/1.png"),
    ],
)
def test_a_name_matches_the_one_file_that_fits(text, file):
    assert matcher("a.jpg", "a.xml", "dogs/1.png", ".1.png").match(text) == Match(file, is_exact=False)


def test_an_exact_name_comes_before_everything_else():
    files = ("a", "a.jpg", "A.jpg", "x/a.jpg", "x\\a.jpg")
    assert all(matcher(*files).match(name) == Match(name) for name in files)
    assert matcher(*files).match("/photos/x/../a.jpg") == Match("a.jpg")


@pytest.mark.parametrize(
    ("files", "text"),
    [
        (("a.jpg", "a.png"), "a"),
        (("Dog.jpg", "dog.jpg"), "DOG.jpg"),
        (("cats/1.jpg", "dogs/1.jpg"), "1.jpg"),
        (("cats/1.jpg", "dogs/1.jpg"), "1"),
    ],
)
def test_a_name_that_fits_several_files_matches_none(files, text):
    assert matcher(*files).match(text) == Match(None, problem=SEVERAL_FILES)


def test_the_longest_end_of_a_path_decides():
    assert matcher("1.jpg", "dogs/1.jpg").match("/data/dogs/1.jpg").file == "dogs/1.jpg"
    assert matcher("1.jpg", "new/dogs/1.jpg").match("dogs/1.jpg").file == "new/dogs/1.jpg"


@pytest.mark.parametrize("text", ["dogs/1.jpg", "cats/2.jpg", "1.png", "xml", "b", "C:\\b.jpg"])
def test_a_name_never_matches_a_file_with_another_folder_or_suffix(text):
    assert matcher("cats/1.jpg", "a.xml", "b.txt").match(text) == Match(None, problem=NO_FILE)


@pytest.mark.parametrize("text", ["../a.jpg", "..\\a.jpg", "x/../../a.jpg", "x\\..\\..\\a.jpg", "..", "/etc/passwd"])
def test_a_path_that_leads_out_of_the_folder_matches_nothing(text):
    assert matcher("a.jpg", "x/b.jpg").match(text) == Match(None, problem=OUTSIDE)


def test_the_nearest_file_ignores_case_and_folders():
    assert matcher("dogs/IMG_0001.JPG", "cats/zebra.png").nearest("x\\img-0001.jpg") == "dogs/IMG_0001.JPG"
    assert matcher("zebra.png").nearest("a.jpg") is None

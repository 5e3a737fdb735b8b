"""The study of near-duplicates by kind of set: what it counts, and that its page shows the committed records."""

from pathlib import Path

import pytest

from experiments.studies.near_duplicate_kinds import TRIED, KindsStudy, kinds_text, study_kind
from experiments.studies.picture_kinds import KINDS
from resjax.records import read_record

FOLDER = Path(__file__).parents[2] / "experiments" / "results" / "near_copies"


def committed() -> KindsStudy:
    """Both records, photographs first."""
    first, second = (read_record(FOLDER / name, KindsStudy) for name in ("kinds.json", "kinds_cifar10_jpeg.json"))
    return KindsStudy(kinds=[first.kinds[0], *second.kinds, *first.kinds[1:]])


def test_the_tables_of_the_page_are_those_of_the_committed_records():
    assert kinds_text(committed()) in (FOLDER / "README.md").read_text()


def test_few_links_are_false_in_any_kind_and_all_copies_of_photographs_are_found():
    for kind in committed().kinds:
        found, false = (sum(getattr(one, name) for one in kind.sets) for name in ("found", "false_links"))
        assert found >= 0.93 * (found + false) and kind.groups_without_copies >= 0.99 * kind.pictures
    assert all(one.found == one.copies for one in committed().kinds[0].sets)


def test_found_copies_and_false_links_are_counted(monkeypatch):
    monkeypatch.setattr("experiments.studies.near_duplicate_kinds.TRIED", {"mirrored": TRIED["mirrored"]})
    images = KINDS["texture tiles"](12)
    one = study_kind("tiles", [*images, images[1]])
    # Picture 1 is there twice. Pictures 0, 4, 8 and 12 have a mirrored copy; that of 12 is one of picture 1 too.
    (row,) = one.sets
    assert (one.pictures, one.groups_without_copies) == (13, 12)
    assert (row.copies, row.found, row.false_links) == (4, 4, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_made_pictures_are_as_many_as_asked_all_different_and_the_same_again(kind):
    first, again = (KINDS[kind](7) for _ in range(2))
    seen = [image.tobytes() for image in first]
    assert len(set(seen)) == 7 and seen == [image.tobytes() for image in again]

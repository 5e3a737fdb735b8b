"""A split comes back from its record, and is refused where it does not fit the data or leaks."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from resjax.data.dataset import Dataset
from resjax.data.splits import METHODS, Split, leaked_images, make_folds, make_split
from resjax.errors import BadInput
from resjax.records import SplitRecord, plain, write_record
from resjax.run.setup.dataset import read_split, split_of_record, split_record
from tests.made_dataset import dataset_of, random_sizes, take


@pytest.fixture
def recorded() -> tuple[Dataset, SplitRecord]:
    dataset = dataset_of([[2, 1, 1, 3, 1, 1], [1, 1, 2, 1, 1, 1]])
    return dataset, split_record(dataset, make_split(dataset, seed=5, val_fraction=0.3, test_fraction=0.2))


def divided(dataset: Dataset, method: str) -> Split:
    if method == "fold":
        return make_folds(dataset, 3, method="grouped", seed=4, test_fraction=0.1)[1]
    return make_split(dataset, method=method, seed=4, test_fraction=0 if method == "given" else 0.1)


@pytest.mark.parametrize("method", [*METHODS, "fold"])
def test_a_split_comes_back_from_its_record(method):
    dataset = dataset_of(random_sizes(3))
    # Dealt out in turn, so that the given split leaks.
    dataset = replace(dataset, sides=tuple(("train", "train", "val", "test")[i % 4] for i in range(len(dataset.ids))))
    split = divided(dataset, method)
    record = split_record(dataset, split)
    order = np.random.default_rng(1).permutation(len(dataset.ids))
    shuffled = take(dataset, order)
    back = split_of_record(record, shuffled)
    assert (back.method, back.seed, back.fold, back.label) == (split.method, 4, split.fold, split.label)
    for side, images in split.sides.items():
        assert {shuffled.ids[image] for image in back.sides[side]} == {dataset.ids[image] for image in images}


@pytest.mark.parametrize(
    "text", ['{"schema_version": 1, "ima', "", "[1, 2]", '"grouped"', "null", b"\xff\xfe"], ids=repr
)
def test_a_file_that_is_no_record_is_refused_in_one_line(text, recorded, tmp_path):
    path = tmp_path / "split.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput, match="^split file.*expected a split.json of a run") as refused:
        read_split(path, recorded[0])
    assert "\n" not in str(refused.value)


def test_a_file_is_read_or_named_where_it_cannot_be(recorded, tmp_path):
    dataset, record = recorded
    write_record(tmp_path / "split.json", record)
    assert read_split(tmp_path / "split.json", dataset).sides["val"].tolist()
    with pytest.raises(BadInput, match="nowhere.json: No such file"):
        read_split(tmp_path / "nowhere.json", dataset)
    with pytest.raises(BadInput, match="Is a directory"):
        read_split(tmp_path, dataset)


def test_an_image_on_two_sides_is_refused_but_of_an_overlapping_split(recorded):
    dataset, record = recorded
    twice = [msgspec.structs.replace(record.images[0], side=side) for side in ("train", "val")]
    doubled = msgspec.structs.replace(record, images=record.images + twice)
    with pytest.raises(BadInput, match="images on more than one side: 1 "):
        split_of_record(msgspec.structs.replace(doubled, method="random"), dataset)
    split_of_record(msgspec.structs.replace(doubled, method="overlapping"), dataset)


def test_the_record_says_all_of_every_image(recorded):
    dataset, record = recorded
    assert record.schema_version == 1 and record.method == "grouped" and record.seed == 5
    assert sum(record.fractions.values()) == pytest.approx(1)
    assert len(record.images) == len(dataset.ids)
    for entry in record.images:
        image = dataset.ids.index(entry.id)
        assert entry.label == dataset.classes[dataset.labels[image]]
        assert entry.content == dataset.contents[image] and entry.content.startswith(entry.group)
        assert len(entry.group) == 12 and entry.side in ("train", "val", "test")


def test_a_record_that_does_not_fit_the_data_is_refused_with_names_and_count(recorded):
    dataset, record = recorded
    count = len(dataset.ids)
    fewer = take(dataset, np.arange(5, count))
    with pytest.raises(BadInput, match="images that are not in the data .*: 5 .0000.png, 0001.png, 0002.png and 2"):
        split_of_record(record, fewer)
    with pytest.raises(BadInput, match="images that are not in the data or have changed: 1 .0003.png"):
        split_of_record(record, replace(dataset, contents=(*dataset.contents[:3], "0" * 64, *dataset.contents[4:])))
    with pytest.raises(BadInput, match=f"images that are not in the data or have changed: {count} "):
        split_of_record(record, replace(dataset, classes=("b", "a")))
    with pytest.raises(BadInput, match="on no side: 1 .0000.png"):
        without = [image for image in record.images if image.id != "0000.png"]
        split_of_record(msgspec.structs.replace(record, images=without), dataset)


def test_a_grouped_record_that_leaks_is_refused(recorded):
    dataset, record = recorded
    sides = {"0000.png": "train", "0001.png": "val"}
    moved = [msgspec.structs.replace(image, side=sides.get(image.id, image.side)) for image in record.images]
    leaking = msgspec.structs.replace(record, images=moved)
    with pytest.raises(BadInput, match="images with a copy on another side: 1 .0001.png"):
        split_of_record(leaking, dataset)
    assert (
        leaked_images(split_of_record(msgspec.structs.replace(leaking, method="random"), dataset), dataset.groups) == 1
    )


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"method": "stratified"},
        {"seed": "first"},
        {"images": None},
        {"fold": {"number": 1}},
        {"fold": 3},
        {"images": [{"id": "0000.png"}]},
        {"images": [1]},
        {"images": []},
    ],
    ids=str,
)
def test_a_record_of_another_kind_is_refused_in_one_line(change, recorded, tmp_path):
    dataset, record = recorded
    (tmp_path / "split.json").write_text(json.dumps(plain(record) | change))
    with pytest.raises(BadInput, match="^split file") as refused:
        read_split(tmp_path / "split.json", dataset)
    assert "\n" not in str(refused.value)


def test_an_unknown_side_and_an_empty_one_are_refused(recorded, tmp_path):
    dataset, record = recorded
    values = plain(record)
    (tmp_path / "split.json").write_text(
        json.dumps(values | {"images": [row | {"side": "valid"} for row in values["images"]]})
    )
    with pytest.raises(BadInput, match="valid"):
        read_split(tmp_path / "split.json", dataset)
    with pytest.raises(BadInput, match="in val"):
        trained = [msgspec.structs.replace(image, side="train") for image in record.images]
        split_of_record(msgspec.structs.replace(record, images=trained), dataset)

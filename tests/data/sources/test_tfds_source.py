"""Small sets that TFDS itself reads are read without TensorFlow; a set that cannot be read is refused in one line."""

import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from resjax.data.sources.opening import open_catalogue
from tests.image_files import labels_by_id, reasons, refusal, sides_by_id
from tests.tfds_sets import prepare

tfds = pytest.importorskip("tensorflow_datasets")
pytest.importorskip("array_record", reason="array_record is made for Linux alone")
CLASSES = ["bakso", "rendang", "soto ayam"]


def file(split: str, index: int) -> bytes:
    """What stands for an image file: sources do not look inside. Its last bytes are zeros, as a file's may be."""
    return f"{split} {index}".encode() + bytes(3)


def examples(split: str, count: int, *, label: int | None = None) -> list[dict]:
    return [
        {"name": f"{split} {index}", "image": file(split, index), "label": index % 3 if label is None else label}
        for index in range(count)
    ]


def features(**more) -> dict:
    return {
        "name": tfds.features.Text(),
        "image": tfds.features.Image(shape=(None, None, 3)),
        "label": tfds.features.ClassLabel(names=CLASSES),
    } | more


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    """Three splits of TFDS's usual names and another, in two files each."""
    root = tmp_path_factory.mktemp("tfds")
    counts = {"train": 11, "validation": 3, "test": 4, "unsupervised": 5}
    splits = {split: examples(split, count) for split, count in counts.items()}
    prepare(root, "dishes", splits, features(), shards=2)
    return root


def opened(name: str, data_dir: Path):
    return open_catalogue(f"tfds:{name}", data_dir=data_dir, image_size=8)


def test_the_set_is_one_that_tfds_reads(data_dir):
    source = tfds.data_source(
        "dishes", split="train", data_dir=data_dir, download=False, decoders={"image": tfds.decode.SkipDecoding()}
    )
    assert len(source) == 11
    assert source[10] == {"name": b"train 10", "image": file("train", 10), "label": 1}


def test_its_own_splits_are_sides_and_others_are_listed(data_dir):
    catalogue = opened("dishes", data_dir)
    assert catalogue.classes == tuple(CLASSES) and catalogue.labels.dtype == "int32"
    assert catalogue.ids == tuple(sorted(catalogue.ids)) and len(catalogue.ids) == 11 + 3 + 4
    assert sides_by_id(catalogue)["validation/2"] == "val"
    assert {name.split("/")[0]: side for name, side in sides_by_id(catalogue).items()} == {
        "train": "train",
        "validation": "val",
        "test": "test",
    }
    assert labels_by_id(catalogue)["train/10"] == "rendang"
    assert [(e.id, e.reason, e.detail) for e in catalogue.exclusions] == [
        ("unsupervised", "split not used", "5 images")
    ]


def test_every_image_is_the_file_that_was_prepared(data_dir):
    catalogue = opened("dishes", data_dir)
    for image, name in enumerate(catalogue.ids):
        split, position = name.split("/")
        assert catalogue.read(image) == file(split, int(position))


def test_many_threads_read_at_once(data_dir):
    catalogue = opened("dishes@all", data_dir)
    images = list(range(len(catalogue.ids))) * 40
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(catalogue.read, images))
    assert found == [catalogue.read(image) for image in images]


@pytest.mark.parametrize(
    ("split", "ids"),
    [
        ("train[:3]", ["train/00", "train/01", "train/02"]),
        ("train[-2:]", ["train/09", "train/10"]),
        ("train[20%:40%]", ["train/02", "train/03"]),
        ("validation", ["validation/0", "validation/1", "validation/2"]),
        ("validation[1:] + train[:1]+test[:1]", ["test/0", "train/00", "validation/1", "validation/2"]),
    ],
)
def test_a_split_in_the_syntax_of_tfds_is_one_pool_with_the_ids_of_the_whole(split, ids, data_dir):
    catalogue = opened(f"dishes@{split}", data_dir)
    assert list(catalogue.ids) == ids and catalogue.sides is None
    whole = opened("dishes@all", data_dir)
    for image, name in enumerate(ids):
        assert catalogue.read(image) == whole.read(whole.ids.index(name))
        assert labels_by_id(catalogue)[name] == labels_by_id(whole)[name]


def test_classes_without_an_image_in_the_part_are_listed(data_dir):
    catalogue = opened("dishes@train[1:3]", data_dir)
    assert labels_by_id(catalogue) == {"train/01": "rendang", "train/02": "soto ayam"}
    assert [(e.id, e.reason) for e in catalogue.exclusions] == [("bakso", "class without an image")]


def test_a_config_and_a_version_are_part_of_the_name(tmp_path):
    for config, version, count in (("small", "1.0.0", 4), ("small", "1.2.0", 5), ("large", "1.0.0", 6)):
        prepare(tmp_path, "dishes", {"train": examples("train", count)}, features(), config=config, version=version)
    assert len(opened("dishes/small:1.0.0", tmp_path).ids) == 4
    assert len(opened("dishes/small", tmp_path).ids) == 5
    assert len(opened("dishes/small:1.*.*@train[:3]", tmp_path).ids) == 3
    assert len(opened("dishes/large:1.0.0", tmp_path).ids) == 6
    for absent in ("dishes", "dishes/small:2.0.0", "dishes/huge"):
        line = refusal(f"tfds:{absent}", data_dir=tmp_path)
        assert "dishes/large:1.0.0, dishes/small:1.0.0, dishes/small:1.2.0" in line


def test_images_and_splits_without_labels_are_listed(tmp_path):
    splits = {"train": examples("train", 5), "test": examples("test", 4, label=-1)}
    splits["train"][2]["label"] = -1
    prepare(tmp_path, "dishes", splits, features())
    catalogue = opened("dishes", tmp_path)
    assert catalogue.ids == ("train/0", "train/1", "train/3", "train/4") and catalogue.sides is None
    assert {(e.id, e.reason, e.detail) for e in catalogue.exclusions} == {
        ("train/2", "image without a label", ""),
        ("test", "split without labels", "4 images"),
        ("soto ayam", "class without an image", ""),
    }


def test_a_class_that_train_lacks_is_refused_and_one_that_test_lacks_is_listed(tmp_path):
    prepare(tmp_path, "dishes", {"train": examples("train", 2), "test": examples("test", 3)}, features())
    line = refusal("tfds:dishes", data_dir=tmp_path)
    assert all(word in line for word in ("'soto ayam'", "test", "train"))
    prepare(tmp_path, "others", {"train": examples("train", 3), "test": examples("test", 2)}, features())
    assert reasons(opened("others", tmp_path)) == {"class without an image in test": 1}


def test_labels_in_test_alone_make_no_training_set(tmp_path):
    splits = {"train": examples("train", 5, label=-1), "test": examples("test", 4)}
    prepare(tmp_path, "dishes", splits, features())
    assert "'bakso'" in refusal("tfds:dishes", data_dir=tmp_path)


def test_one_split_of_whatever_name_is_a_pool(tmp_path):
    prepare(tmp_path, "dishes", {"everything": examples("everything", 5)}, features())
    assert opened("dishes", tmp_path).sides is None and len(opened("dishes", tmp_path).ids) == 5


def test_several_features_of_a_kind_are_told_apart_by_the_supervised_keys(tmp_path):
    more = {"mask": tfds.features.Image(shape=(None, None, 1)), "coarse": tfds.features.ClassLabel(names=["a", "b"])}
    rows = [row | {"mask": b"mask", "coarse": 0} for row in examples("train", 5)]
    prepare(tmp_path, "keyed", {"train": rows}, features(**more), supervised_keys=("image", "label"))
    prepare(tmp_path, "unkeyed", {"train": rows}, features(**more))
    catalogue = opened("keyed", tmp_path)
    assert catalogue.classes == tuple(CLASSES) and catalogue.read(1) == file("train", 1)
    line = refusal("tfds:unkeyed", data_dir=tmp_path)
    assert "type Image" in line and "image (Image)" in line and "mask (Image)" in line


@pytest.mark.parametrize(
    ("kind", "found"), [("label", "caption (Text), image (Image)"), ("image", "caption (Text), label (ClassLabel)")]
)
def test_a_set_without_label_or_image_is_refused_with_the_features_that_it_has(kind, found, tmp_path):
    columns = {name: feature for name, feature in features().items() if name in {"image", "label"} - {kind}}
    rows = [{name: row[name] for name in columns} | {"caption": "a dish"} for row in examples("train", 3)]
    prepare(tmp_path, "dishes", {"train": rows}, columns | {"caption": tfds.features.Text()})
    line = refusal("tfds:dishes", data_dir=tmp_path)
    assert ("ClassLabel" if kind == "label" else "Image") in line and found in line


def test_images_of_numbers_are_refused(tmp_path):
    depth = tfds.features.Image(shape=(None, None, 1), dtype=np.float32)
    folder = prepare(tmp_path, "depth", {"train": examples("train", 3)}, features())
    # TFDS needs TensorFlow to write such an image; what it is stands in the metadata.
    tfds.features.FeaturesDict(features(image=depth)).save_config(folder)
    assert "'image'" in refusal("tfds:depth", data_dir=tmp_path)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("dishes@tran", "train, validation, test, unsupervised"),
        ("dishes@train[:20", "@train[:20%]"),
        ("dishes@train[:300%]", "'train[:300%]'"),
        ("dishes@", "train, validation, test, unsupervised"),
        ("dishes@train[5:5]", "dishes@train[5:5]"),
        ("dishes@train[:5]+train[3:8]", "images of train twice"),
        ("dishes/small", "dishes:1.0.0"),
        ("dishes:2.0.0", "dishes:1.0.0"),
        ("dish", "did you mean dishes"),
        ("mnsit", "did you mean mnist"),
        ("", "tfds:NAME"),
        ("my dishes", "tfds:NAME"),
        ("dishes:1", "tfds:NAME:1.0.0"),
    ],
)
def test_a_name_or_a_split_that_is_not_there_is_refused_with_what_is(name, named, data_dir):
    assert named in refusal(f"tfds:{name}", data_dir=data_dir)


def test_splits_without_train_are_refused_by_their_names(tmp_path):
    prepare(tmp_path, "dishes", {"a": examples("a", 3), "b": examples("b", 3)}, features())
    assert " a, b;" in refusal("tfds:dishes", data_dir=tmp_path)


def test_a_set_that_is_not_prepared_is_refused_with_the_command_that_prepares_it(tmp_path):
    line = refusal("tfds:cifar10:3.0.2", data_dir=tmp_path)
    assert f" {tmp_path};" in line and "pip install 'resjax[prepare]'" in line
    *_, program = shlex.split(line)
    compile(program, "command", "exec")
    assert f"'cifar10:3.0.2', data_dir='{tmp_path}', builder_kwargs={{'file_format': 'array_record'}}" in program


def test_another_format_than_array_record_is_refused_by_its_name(tmp_path):
    folder = prepare(tmp_path, "dishes", {"train": examples("train", 3)}, features())
    info = json.loads((folder / "dataset_info.json").read_text())
    (folder / "dataset_info.json").write_text(json.dumps(info | {"fileFormat": "tfrecord"}))
    line = refusal("tfds:dishes", data_dir=tmp_path)
    assert "tfrecord" in line and "array_record" in line and "pip install" in line


@pytest.mark.parametrize("damage", ["absent", "empty", "no records", "cut short", "metadata"])
def test_files_that_are_damaged_are_refused_in_one_line(damage, tmp_path):
    folder = prepare(tmp_path, "dishes", {"train": examples("train", 9)}, features())
    (records,) = folder.glob("*train*")
    match damage:
        case "absent":
            records.unlink()
        case "empty":
            records.write_bytes(b"")
        case "no records":
            records.write_bytes(b"no records at all" * 10_000)
        case "cut short":
            os.truncate(records, records.stat().st_size // 2)
        case "metadata":
            (folder / "dataset_info.json").write_text("{")
    assert "tfds:dishes" in refusal("tfds:dishes", data_dir=tmp_path)


def test_a_record_that_is_damaged_later_is_an_error_of_reading(tmp_path):
    folder = prepare(tmp_path, "dishes", {"train": examples("train", 3)}, features())
    catalogue = opened("dishes", tmp_path)
    (records,) = folder.glob("*train*")
    records.write_bytes(b"")
    with pytest.raises(OSError) as refused:
        catalogue.read(0)
    assert str(refused.value) and "\n" not in str(refused.value)


def test_tensorflow_is_not_touched(data_dir):
    code = (
        "import sys; from pathlib import Path; from resjax.data.sources.opening import open_catalogue; "
        "assert 'tensorflow_datasets' not in sys.modules; "
        f"catalogue = open_catalogue('tfds:dishes', data_dir=Path({str(data_dir)!r}), image_size=8); "
        "print(len(catalogue.read(0)), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(file("test", 0))), "False"] and not done.stderr

"""What an experiment gets of a folder of images: copies in one group, and a line that says what is there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resjax.data.dataset import ValueRanges
from resjax.data.splits import leaked_images, make_split
from resjax.data.synthetic import source as synthetic
from resjax.run.settings import SourceSettings
from resjax.run.setup.dataset import data_fingerprint, load_dataset


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> SourceSettings:
    """Six pictures of each of two dishes; one of each again as a smaller JPEG, and one file of a dish twice."""
    root = tmp_path_factory.mktemp("dishes")
    for label in (0, 4):
        folder = root / "images" / synthetic.CLASSES[label]
        folder.mkdir(parents=True)
        for seed in range(6):
            picture = Image.fromarray(synthetic.draw_dish(label, seed=seed, size=128))
            picture.save(folder / f"{seed}.png")
            if seed == 0:
                picture.resize((100, 100)).save(folder / "again.jpg", quality=60)
    (root / "images" / "bakso" / "twice.png").write_bytes((root / "images" / "bakso" / "1.png").read_bytes())
    return SourceSettings(f"folder:{root}/images", None, None, root / "cache", 20.0, True)


def test_near_copies_are_one_picture_and_stay_on_one_side(source, capsys):
    _, dataset = load_dataset(source, 16)
    assert "15 images of 2 classes, 14 distinct files, 12 distinct pictures" in capsys.readouterr().out
    group_of = dict(zip(dataset.ids, dataset.groups.tolist(), strict=True))
    assert (
        group_of["bakso/again.jpg"] == group_of["bakso/0.png"]
        and group_of["bakso/twice.png"] == group_of["bakso/1.png"]
    )
    for seed in range(10):
        assert leaked_images(make_split(dataset, seed=seed, val_fraction=0.4), dataset.groups) == 0


def test_without_the_search_only_files_with_the_same_bytes_are_copies(source, capsys):
    _, dataset = load_dataset(replace(source, near_copies=False), 16)
    assert "14 distinct files\n" in capsys.readouterr().out and len(np.unique(dataset.groups)) == 14


def test_the_groups_do_not_depend_on_the_image_size(source):
    small, large = (load_dataset(source, size)[1] for size in (16, 48))
    assert small.groups.tolist() == large.groups.tolist() and large.images.shape[1] == 48


def test_a_picture_with_two_labels_is_told(source, tmp_path, capsys):
    for label in ("left", "right"):
        (tmp_path / label).mkdir()
        for index in range(3):
            pixels = np.random.default_rng([index, *label.encode()]).integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{index}.png")
    picture = Path(tmp_path / "left" / "0.png").read_bytes()
    (tmp_path / "right" / "same.png").write_bytes(picture)
    load_dataset(replace(source, dataset=f"folder:{tmp_path}"), 16)
    assert "WARNING: 1 pictures have copies with different labels" in capsys.readouterr().out


def test_drawn_dishes_need_no_search(source, capsys, monkeypatch):
    monkeypatch.setattr(
        "resjax.run.setup.dataset.cached_near_duplicate_groups", lambda *_, **__: pytest.fail("searched")
    )
    _, dataset = load_dataset(replace(source, dataset="synthetic:20"), 16)
    assert f"{len(np.unique(dataset.groups))} distinct pictures" in capsys.readouterr().out


def test_the_scale_of_deep_images_belongs_to_the_data_that_a_replica_sees(source):
    _, dataset = load_dataset(source, 16)
    split = make_split(dataset)
    fingerprint = data_fingerprint(dataset, split)
    ranges = [ValueRanges(integers=(0, high)) for high in (255, 4095)]
    others = {data_fingerprint(replace(dataset, ranges=each), split) for each in ranges}
    assert len(others | {fingerprint}) == 3

"""What has changed under a workdir: which images, and whether its record of the recipe is still there."""

from dataclasses import replace

import pytest

from resjax.errors import BadInput
from resjax.records import NUMERICS_VERSION, RecipeData, RecipeRecord, SplitImage, SplitRecord, write_record
from resjax.run.workdir.recipe_check import changes, data_changes, recipe_before
from tests.run.test_several_splits import settings


def split(**images: tuple[str, str, str]) -> SplitRecord:
    rows = [
        SplitImage(id=name, content=content, label=label, side=side, group=content)
        for name, (content, label, side) in images.items()
    ]
    return SplitRecord(
        method="grouped", label="grouped", seed=0, fold=None, train_fraction=1.0, fractions={}, images=rows
    )


def test_images_that_came_went_or_changed_are_counted_and_named(tmp_path):
    write_record(tmp_path / "split.json", split(a=("1", "x", "train"), b=("2", "x", "train"), c=("3", "y", "val")))
    text = data_changes(tmp_path, split(b=("9", "x", "train"), c=("3", "y", "train"), d=("4", "y", "val")))
    assert "1 new (d)" in text and "1 gone (a)" in text
    assert "1 with another content (b)" in text and "1 with another side (c)" in text and "label" not in text


def test_where_the_record_of_the_split_is_damaged_the_change_is_said_without_names(tmp_path):
    (tmp_path / "split.json").write_text("{")
    assert data_changes(tmp_path, split()) == "the images or their split have changed"
    assert (tmp_path / "split.json.damaged").exists()


def test_a_damaged_summary_leaves_the_recipe_known(tmp_path):
    assert recipe_before(tmp_path) is None
    recipe = RecipeRecord(
        recipe_version=NUMERICS_VERSION, config={"epochs": 3}, dataset=RecipeData(fingerprint="f"), architectures={}
    )
    write_record(tmp_path / "recipe.json", recipe)
    (tmp_path / "summary.json").write_text('{"config": {"epo')
    assert recipe_before(tmp_path) == recipe
    assert (tmp_path / "summary.json.damaged").exists()


def test_replicas_of_an_unknown_recipe_are_refused(tmp_path):
    (tmp_path / "runs").mkdir()
    with pytest.raises(BadInput, match="no record of their recipe"):
        recipe_before(tmp_path)


def test_a_flag_that_an_earlier_run_did_not_know_had_its_default_there(tmp_path):
    before = RecipeRecord(
        recipe_version=NUMERICS_VERSION, config={"epochs": 1}, dataset=RecipeData(fingerprint="f"), architectures={}
    )
    now = settings(tmp_path, tmp_path)
    weighted = replace(now, flags={"epochs": 1, "class_weights": "balanced"})
    assert changes(before, replace(now, flags={"epochs": 1, "class_weights": "none"}), {}) == []
    (changed,) = changes(before, weighted, {})
    assert "--class_weights" in changed

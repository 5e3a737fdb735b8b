"""A recipe of Python as flags: what a command line can give comes back from them."""

import optax
import pytest

from resjax.data.augmentation import ColorJitter, Crop, Flip, Lighting, Rotate, Scale
from resjax.run.setup.recipe_flags import recipe_flags
from resjax.training.recipe import Recipe

EVERY = (Flip(), Rotate(12.5), ColorJitter(0.2, 0.1, 0.3, 0.05), Lighting(0.1), Crop(2), Scale(16, 16, 20))


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(augmentations=EVERY),
        Recipe(
            optimizer="sgd", learning_rate=0.1234567891, schedule="step", milestones=(0.25, 1 / 3), freeze=("stem.*",)
        ),
        Recipe(augmentations=(Rotate(1 / 3),), class_weights="balanced", warmup_epochs=0.5),
    ],
    ids=str,
)
def test_a_recipe_comes_back_from_its_flags(recipe):
    assert Recipe.from_flags(recipe_flags(recipe)) == recipe


def test_what_no_flag_can_give_is_named_with_its_hash():
    flags = recipe_flags(Recipe(optimizer=optax.lion, schedule=optax.constant_schedule(0.1)))
    other = recipe_flags(Recipe(optimizer=optax.lion, schedule=optax.constant_schedule(0.2)))
    assert "lion sha256:" in flags["optimizer"] and flags["optimizer"] == other["optimizer"]
    assert flags["schedule"] != other["schedule"]

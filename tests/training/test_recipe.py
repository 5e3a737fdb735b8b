"""A recipe's fields say what their flags are, and refuse values outside their limits."""

import dataclasses
import subprocess
import sys

import pytest

from resjax.data.augmentation import ColorJitter, Flip, Rotate
from resjax.errors import BadInput
from resjax.training.recipe import Recipe, fields_with_options


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -1.0),
        ("optimizer", "adma"),
        ("schedule", "linear"),
        ("warmup_epochs", 11.0),
        ("warmup_shape", "half"),
        ("milestones", (0.75, 0.5)),
        ("milestones", (0.5, 1.0)),
        ("decayed", "some"),
        ("momentum", 2.0),
        ("mixup", -0.1),
        ("cutmix", float("inf")),
        ("label_smoothing", 1.1),
        ("clip_norm", -1.0),
        ("ema_decay", 1.0),
    ],
)
def test_a_value_outside_its_range_is_named_with_what_is_expected(field, value):
    with pytest.raises(BadInput, match=rf"--{field}=.*expected"):
        Recipe(**{field: value})


def flag_defaults() -> dict[str, object]:
    """Every flag of a recipe with its default, as the command line has them."""
    return {its.flag: its.default_text if its.parse else each.default for each, its in fields_with_options(Recipe)}


def test_every_field_has_an_option_with_a_help_text():
    found = {each.name: its for each, its in fields_with_options(Recipe)}
    assert list(found) == [each.name for each in dataclasses.fields(Recipe)]
    assert all(its.flag and its.describe() for its in found.values())
    assert found["optimizer"].describe().startswith("one of adam, adamw, sgd: ")


def test_the_flags_defaults_are_the_recipes_except_for_the_augmentations():
    recipe = Recipe.from_flags(flag_defaults())
    assert recipe.augmentations == (Flip(), Rotate(15), ColorJitter(0.2, 0.2, 0.2, 0.1))
    assert dataclasses.replace(recipe, augmentations=()) == Recipe()


def test_a_recipe_is_read_from_its_flags():
    given = {"augment": "none", "freeze": "stem.*, head.bias", "milestones": "0.25,0.5", "epochs": 3}
    recipe = Recipe.from_flags(flag_defaults() | given)
    assert recipe == Recipe(epochs=3, milestones=(0.25, 0.5), freeze=("stem.*", "head.bias"))


@pytest.mark.parametrize(
    ("flag", "text"), [("milestones", "half"), ("milestones", "0.5,0.25"), ("augment", "flop"), ("epochs", 0)]
)
def test_what_is_no_value_of_a_flag_is_named_with_the_flag(flag, text):
    with pytest.raises(BadInput, match=f"--{flag}=.?{text}.*: "):
        Recipe.from_flags(flag_defaults() | {flag: text})


def test_a_recipe_needs_no_jax():
    code = "import resjax.training.recipe, sys; print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

"""A recipe of a caller in Python as the flags of a command, for the records; what is no flag by name and hash."""

from dataclasses import fields, is_dataclass

from resjax.data.augmentation import AUGMENTATIONS
from resjax.run.setup.sources import source_of
from resjax.training.recipe import Recipe, fields_with_options


def recipe_flags(recipe: Recipe) -> dict[str, object]:
    """The value of each flag of a recipe, as a command line would give it.

    What no command line can give, an optimizer, a schedule or an augmentation of one's own, is `module:name
    sha256:...`, so that another source is another recipe.

    >>> from resjax.data.augmentation import Flip, Rotate
    >>> recipe_flags(Recipe(epochs=3, augmentations=(Flip(), Rotate(15))))["augment"]
    'flip,rotate:15'
    """
    found: dict[str, object] = {}
    for field, option in fields_with_options(Recipe):
        value = getattr(recipe, field.name)
        if isinstance(value, tuple) and option.parse:
            nothing = None if option.default_text is None else "none"
            found[option.flag] = ",".join(map(_text, value)) if value else nothing
        else:
            found[option.flag] = value if value is None or isinstance(value, bool | int | float | str) else _text(value)
    return found


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    names = [name for name, kind in AUGMENTATIONS.items() if type(value) is kind]
    if not names or not is_dataclass(value):
        return str(source_of(value))
    numbers = [_text(getattr(value, field.name)) for field in fields(value)]
    return f"{names[0]}:{','.join(numbers)}" if numbers else names[0]

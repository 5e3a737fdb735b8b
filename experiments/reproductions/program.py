"""Do published results come out again? Runs a published recipe over seeds, and sets its numbers beside ours.

  python -m experiments.reproduce --flagfile=experiments/flags/reproduce_cifar10.flags
  python -m experiments.reproduce --flagfile=experiments/flags/reproduce_first_exercise.flags --quick

--target says which: cifar10 and imagenet (He et al. 2015), or first_exercise (five Indonesian dishes). The recipe comes
with it: every flag that is not given has the published value, and one that is given another value is listed as a
departure. --quick shrinks it to minutes, except for what the command line itself gives; its numbers then say nothing
about the published ones, and its signs may.

The comparisons are those of experiments.compare, each with its own report in a folder of --workdir, and the same
command goes on where it stopped. Then reproduction.json, reproduction.html and a table set published and own numbers
side by side, with intervals.
"""

import io
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments.reproductions.recipes import REPRODUCTIONS, Part, Reproduction
from resjax.cli.data_flags import define_source_flags, define_split_flags
from resjax.cli.machine import define_process_flags, take_part
from resjax.cli.program import Command
from resjax.cli.settings import define_training_flags, settings
from resjax.errors import BadInput
from resjax.run.compare import compare, help_compare
from resjax.run.settings import Settings
from resjax.training.recipe import require_choice

if TYPE_CHECKING:
    from resjax.data.sources.catalogue import Catalogue

FLAGS = flags.FLAGS
OWN = ("target", "quick")
"""Flags that a comparison does not have."""


def define_flags() -> None:
    flags.DEFINE_string("target", None, f"what is reproduced: one of {', '.join(REPRODUCTIONS)}")
    flags.DEFINE_boolean("quick", False, "a small version of minutes, in --workdir with _quick behind its name")


def reproduce(target: str, asked: Settings, *, quick: bool) -> dict[str, Any]:
    """Runs what is pending of a reproduction, writes its record and page, and returns the record.

    Raises:
      BadInput: before anything is written, where the images are not those of the recipe.
    """
    # They import jax, which --help does without.
    from experiments.reproductions.page import write_reproduction

    reproduction = REPRODUCTIONS[target]
    require_size(reproduction, asked, quick=quick)
    found = departures(reproduction, asked.flags)
    parts = settings_of_parts(reproduction, asked)
    print(f"{reproduction.title}{': a small version' if quick else ''}", flush=True)
    for part in parts:
        compare(part, check=lambda catalogue: require_data(reproduction, catalogue))
    return write_reproduction(target, reproduction, asked, [part.workdir for part in parts], found, quick=quick)


def use_recipe(reproduction: Reproduction, *, quick: bool, words: list[str]) -> None:
    """Gives every flag that is not given its published value, and with `quick` the small one to those not in `words`.

    `words` are those of the command line: what a flagfile gives is the experiment, what they give is the user's wish.
    """
    for name, value in reproduction.recipe.items():
        if not FLAGS[name].present:
            FLAGS[name].value = value
    on_command_line = {word.lstrip("-").partition("=")[0] for word in words if word.startswith("-")}
    for name, value in reproduction.quick.items() if quick else ():
        if not {name, f"no{name}"} & on_command_line:
            FLAGS[name].value = value


def departures(reproduction: Reproduction, given: Mapping[str, object]) -> list[str]:
    """In what a run is another experiment than the published one: always, and by these flags."""
    changed = [
        f"--{name}={given[name]}: the recipe has {'its own' if value is None else value}"
        for name, value in reproduction.recipe.items()
        if given[name] != value and name not in ("dataset", "architectures", "seeds", "cache_gb")
    ]
    return [*reproduction.departures, *changed]


def require_size(reproduction: Reproduction, asked: Settings, *, quick: bool) -> None:
    """Raises `BadInput` for an image size that is not the recipe's; a small version may have any."""
    size = reproduction.recipe["image_size"]
    if asked.image_size != size and not quick:
        raise BadInput(
            f"--image_size={asked.image_size}: the published recipe has {size}; that is accepted, or --quick"
        )


def require_data(reproduction: Reproduction, catalogue: "Catalogue") -> None:
    """Raises `BadInput` where the images have other classes than the recipe's, or another size."""
    count = len(catalogue.classes)
    if count != reproduction.classes:
        raise BadInput(
            f"--dataset={catalogue.name}: {count} classes; the published recipe is for {reproduction.classes}, "
            f"such as --dataset={reproduction.recipe['dataset']}"
        )
    if reproduction.class_names and set(catalogue.classes) != set(reproduction.class_names):
        raise BadInput(
            f"--dataset={catalogue.name}: classes {', '.join(catalogue.classes)}; the published recipe is for "
            f"{', '.join(reproduction.class_names)}"
        )
    if reproduction.own_size is not None:
        width, height = size_of(catalogue.read(0))
        if (width, height) != (reproduction.own_size,) * 2:
            raise BadInput(
                f"--dataset={catalogue.name}: {catalogue.ids[0]} has {width} x {height} pixels; images of "
                f"{reproduction.own_size} x {reproduction.own_size} are accepted"
            )


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of an image file; (0, 0) of what is none, which is left out later."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except Exception:  # Pillow raises anything on damaged files.
        return 0, 0


def settings_of_parts(reproduction: Reproduction, asked: Settings) -> list[Settings]:
    """The settings of each comparison that has arms, in a folder of its own."""
    return [_settings_of(part, asked, arms) for part, arms in _arms_of_parts(reproduction, asked)]


def _arms_of_parts(reproduction: Reproduction, asked: Settings) -> Iterator[tuple[Part, tuple]]:
    left = list(asked.architectures)
    for part in reproduction.parts:
        arms = tuple(arm for arm in left if part.deepest is None or arm.depth <= part.deepest)
        left = [arm for arm in left if arm not in arms]
        if arms:
            yield part, arms


def _settings_of(part: Part, asked: Settings, arms: tuple) -> Settings:
    workdir = asked.workdir / part.name
    own = {"architectures": ",".join(arm.name for arm in arms), "workdir": str(workdir), **part.flags}
    return replace(
        asked,
        architectures=arms,
        recipe=replace(asked.recipe, **part.flags),
        workdir=workdir,
        flags={name: value for name, value in asked.flags.items() if name not in OWN} | own,
    )


def asked_settings(words: list[str]) -> tuple[str, Settings, bool]:
    """The target, all flags as settings, and whether the small version is wanted.

    Raises:
      BadInput: for an unknown target or flags that do not go together.
    """
    if FLAGS.target is None:
        raise BadInput(f"--target is not given: one of {', '.join(REPRODUCTIONS)} is accepted")
    require_choice("--target", FLAGS.target, tuple(REPRODUCTIONS))
    use_recipe(REPRODUCTIONS[FLAGS.target], quick=FLAGS.quick, words=words)
    asked = settings("reproduce")
    asked = replace(asked, flags=asked.flags | {name: FLAGS[name].value for name in OWN})
    if FLAGS.quick and FLAGS.workdir is None:
        workdir = Path(f"{asked.workdir}_quick")
        asked = replace(asked, workdir=workdir, flags=asked.flags | {"workdir": str(workdir)})
    return FLAGS.target, asked, FLAGS.quick


def main() -> None:
    target, asked, quick = asked_settings(sys.argv[1:])
    parts = settings_of_parts(REPRODUCTIONS[target], asked)
    # `all` ends with the first that ends early.
    take_part(
        asked.stopping, lambda: reproduce(target, asked, quick=quick), lambda: all(help_compare(part) for part in parts)
    )


COMMAND = Command(
    "reproduce",
    __doc__,
    main,
    (define_source_flags, define_split_flags, define_training_flags, define_process_flags, define_flags),
)

"""Do published results come out again? Runs a published recipe over seeds and sets its numbers beside ours.

  python -m experiments.reproduce --flagfile=experiments/flags/reproduce_cifar10.flags
  python -m experiments.reproduce --flagfile=experiments/flags/reproduce_first_exercise.flags --quick

--target names the experiment: cifar10 or imagenet (He et al. 2015), or first_exercise (five Indonesian dishes). Every
flag that is not given has its published value. A flag with another value is listed as a departure. --quick replaces the
recipe by a small version of minutes, except for flags on the command line. Its numbers cannot be compared with the
published ones; the signs of its differences can.

The comparisons are those of experiments.compare, each with a report of its own in a folder of --workdir. The same
command resumes an interrupted run. At the end, reproduction.json, reproduction.html and a table show the published
numbers and ours side by side, with intervals.
"""

import io
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from resjax.cli.flags.data import define_source_flags, define_split_flags
from resjax.cli.flags.settings import define_training_flags, settings
from resjax.cli.machine import define_process_flags, take_part
from resjax.cli.program import Command
from resjax.errors import BadInput
from resjax.models.architecture import Architecture
from resjax.records import ReproductionRecord
from resjax.run.settings import Settings
from resjax.training.recipe import require_choice

from .recipes import REPRODUCTIONS, Part, Reproduction

if TYPE_CHECKING:
    from resjax.data.sources.catalogue import Catalogue

FLAGS = flags.FLAGS
OWN = ("target", "quick")
"""Flags that a comparison does not have."""


def define_flags() -> None:
    flags.DEFINE_string("target", None, f"the experiment to reproduce, one of {', '.join(REPRODUCTIONS)}")
    flags.DEFINE_boolean("quick", False, "run a small version that takes minutes; the default --workdir ends in _quick")


def reproduce(target: str, asked: Settings, *, quick: bool) -> ReproductionRecord:
    """Runs the pending part of a reproduction, writes its record and page, and returns the record.

    Raises:
      BadInput: before anything is written, if the images are not those of the recipe.
    """
    # They import jax, which --help does without.
    from resjax.run.compare import compare
    from resjax.run.workdir.ownership import require_own

    from .page import write_reproduction

    require_own(asked.workdir, ("reproduction.json", "reproduction.html"), ("reproduction.json",))
    reproduction = REPRODUCTIONS[target]
    require_size(reproduction, asked, quick=quick)
    found = departures(reproduction, asked.flags)
    parts = settings_of_parts(reproduction, asked)
    print(f"{reproduction.title}{': a small version' if quick else ''}", flush=True)
    for part in parts:
        compare(part, check=lambda catalogue: require_data(reproduction, catalogue))
    return write_reproduction(target, reproduction, asked, [part.workdir for part in parts], found, quick=quick)


def use_recipe(reproduction: Reproduction, *, quick: bool, words: list[str]) -> None:
    """Sets every flag that is not given to its published value; with `quick`, sets the flags of the small version.

    `words` are those of the command line. A flag among them keeps its value; one that is in the flagfile only does not
    with `quick`, because the flagfile describes the full experiment.
    """
    for name, value in reproduction.recipe.items():
        if not FLAGS[name].present:
            FLAGS[name].value = value
    on_command_line = {word.lstrip("-").partition("=")[0] for word in words if word.startswith("-")}
    for name, value in reproduction.quick.items() if quick else ():
        if not {name, f"no{name}"} & on_command_line:
            FLAGS[name].value = value


def departures(reproduction: Reproduction, given: Mapping[str, object]) -> list[str]:
    """How a run departs from the published experiment: in every case, and by the flags that are given."""
    changed = [
        f"--{name}={given[name]}: the recipe has {'its own' if value is None else value}"
        for name, value in reproduction.recipe.items()
        if given[name] != value and name not in ("dataset", "architectures", "seeds", "cache_gb")
    ]
    return [*reproduction.departures, *changed]


def require_size(reproduction: Reproduction, asked: Settings, *, quick: bool) -> None:
    """Raises `BadInput` for an image size that is not the recipe's; a small version may have any size."""
    size = reproduction.recipe["image_size"]
    if asked.image_size != size and not quick:
        raise BadInput(f"--image_size={asked.image_size}: expected {size}, as in the published recipe, or --quick")


def require_data(reproduction: Reproduction, catalogue: "Catalogue") -> None:
    """Raises `BadInput` if the images have other classes than the recipe's, or another size."""
    count = len(catalogue.classes)
    if count != reproduction.classes:
        raise BadInput(
            f"--dataset={catalogue.name}: {count} classes; expected the {reproduction.classes} of the published "
            f"recipe, as in --dataset={reproduction.recipe['dataset']}"
        )
    if reproduction.class_names and set(catalogue.classes) != set(reproduction.class_names):
        raise BadInput(
            f"--dataset={catalogue.name}: classes {', '.join(catalogue.classes)}; expected those of the published "
            f"recipe, {', '.join(reproduction.class_names)}"
        )
    if reproduction.own_size is not None:
        width, height = size_of(catalogue.read(0))
        if (width, height) != (reproduction.own_size,) * 2:
            raise BadInput(
                f"--dataset={catalogue.name}: {catalogue.ids[0]} has {width} x {height} pixels; expected "
                f"{reproduction.own_size} x {reproduction.own_size}"
            )


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height of an image file; (0, 0) if it cannot be read, since such files are left out later."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except Exception:  # Pillow raises anything on damaged files.
        return 0, 0


def settings_of_parts(reproduction: Reproduction, asked: Settings) -> list[Settings]:
    """The settings of each comparison that has networks, in a folder of its own."""
    return [_settings_of(part, asked, networks) for part, networks in _networks_of_parts(reproduction, asked)]


def _networks_of_parts(reproduction: Reproduction, asked: Settings) -> Iterator[tuple[Part, tuple[Architecture, ...]]]:
    left = list(asked.architectures)
    for part in reproduction.parts:
        networks = tuple(each for each in left if part.deepest is None or each.depth <= part.deepest)
        left = [each for each in left if each not in networks]
        if networks:
            yield part, networks


def _settings_of(part: Part, asked: Settings, networks: tuple[Architecture, ...]) -> Settings:
    workdir = asked.workdir / part.name
    own = {"architectures": ",".join(each.name for each in networks), "workdir": str(workdir), **part.flags}
    return replace(
        asked,
        architectures=networks,
        recipe=replace(asked.recipe, **part.flags),
        workdir=workdir,
        flags={name: value for name, value in asked.flags.items() if name not in OWN} | own,
    )


def asked_settings(words: list[str]) -> tuple[str, Settings, bool]:
    """The target, all flags as settings, and whether the small version was asked for.

    Raises:
      BadInput: for an unknown target or flags that do not go together.
    """
    if FLAGS.target is None:
        raise BadInput(f"--target is not given: expected one of {', '.join(REPRODUCTIONS)}")
    require_choice("--target", FLAGS.target, tuple(REPRODUCTIONS))
    use_recipe(REPRODUCTIONS[FLAGS.target], quick=FLAGS.quick, words=words)
    asked = settings("reproduce")
    asked = replace(asked, flags=asked.flags | {name: FLAGS[name].value for name in OWN})
    if FLAGS.quick and FLAGS.workdir is None:
        workdir = Path(f"{asked.workdir}_quick")
        asked = replace(asked, workdir=workdir, flags=asked.flags | {"workdir": str(workdir)})
    return FLAGS.target, asked, FLAGS.quick


def main() -> None:
    # It imports jax, which --help does without.
    from resjax.run.compare import follow_compare

    target, asked, quick = asked_settings(sys.argv[1:])
    parts = settings_of_parts(REPRODUCTIONS[target], asked)
    # `all` stops after the first comparison that ends early.
    take_part(
        lambda: reproduce(target, asked, quick=quick),
        lambda: all(follow_compare(part) for part in parts),
    )


COMMAND = Command(
    "reproduce",
    __doc__ or "",
    main,
    (define_source_flags, define_split_flags, define_training_flags, define_process_flags, define_flags),
)

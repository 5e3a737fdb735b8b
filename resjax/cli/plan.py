"""Before training: how many seeds find a difference of which size on these images?

  resjax plan --dataset=folder:my_images --val_fraction=0.2 --workdir=runs/plan
  resjax plan --images=230 --difference=5
  resjax plan --pilot=runs/mine --comparisons=3 --margin=2

Duplicates among the validation (or test) images count once. The plan rests on three assumptions, --spread, --accuracy
and --disagreement; or on --pilot, the workdir of a finished run, whose seeds and images say how much they vary. Writes
plan.json, plan.png and plan.svg into --workdir.
"""

from pathlib import Path

import numpy as np
from absl import flags

from resjax.cli.flags.data import define_source_flags, define_split_flags, source_settings, split_settings
from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command
from resjax.errors import BadInput
from resjax.evaluation.comparison.statistics.paired_tests import fewest_seeds
from resjax.evaluation.comparison.statistics.planning import LEVEL
from resjax.training.recipe import require_range

FLAGS = flags.FLAGS
MOST_IMAGES = 10**8


def define_plan_flags() -> None:
    flags.DEFINE_integer(
        "images", None, "number of validation images without copies, instead of those of --dataset and --split"
    )
    define_path("pilot", None, "workdir of a finished run that the plan is made from, instead of assumptions")
    flags.DEFINE_float(
        "spread",
        5.0,
        "assumed standard deviation between seeds of the difference of two networks, in points, as it would be on "
        "unlimited images. Our runs had 3 to 9",
    )
    flags.DEFINE_float("accuracy", 60.0, "assumed accuracy of both networks, in percent")
    flags.DEFINE_float(
        "disagreement",
        None,
        "assumed percentage of images that only one of two networks recognizes; by default 120 p (1 - p) for an "
        "accuracy p (29 for 0.6)",
    )
    flags.DEFINE_integer("comparisons", 1, "number of comparisons that will be judged together")
    flags.DEFINE_float("difference", None, "a difference in points: how many seeds find it?")
    flags.DEFINE_float("margin", None, "a margin in points: how many seeds show that equal networks lie within it?")
    flags.DEFINE_integer("max_seeds", 20, "with --seeds=auto: the largest number of seeds")
    define_path("workdir", "runs/plan", "folder of plan.json and its picture")


def main() -> None:
    from resjax.run.planning import (
        PlanQuestion,
        ground_of_images,
        ground_of_pilot,
        reported_groups,
        write_plan,
    )

    require_range("--comparisons", FLAGS.comparisons, 1, 1000)
    require_range("--max_seeds", FLAGS.max_seeds, fewest_seeds(LEVEL), 1000)
    require_range("--spread", FLAGS.spread, 0, 100)
    if FLAGS.disagreement is not None:
        require_range("--disagreement", FLAGS.disagreement, 0, 100)
    for name in ("accuracy", "difference", "margin"):
        value = FLAGS[name].value
        if value is not None and not 0 < value < 100:
            unit = "percent" if name == "accuracy" else "points"
            raise BadInput(f"--{name}={value:g}: expected {unit} above 0 and below 100")
    question = PlanQuestion(FLAGS.comparisons, _fraction("margin"), _fraction("difference"), FLAGS.max_seeds)
    source = None
    if FLAGS.pilot is not None:
        given = [name for name in ("images", "spread", "accuracy", "disagreement", "dataset") if FLAGS[name].present]
        if given:
            raise BadInput(f"--pilot with --{given[0]}: expected one of the two, since the pilot has images of its own")
        ground = ground_of_pilot(Path(FLAGS.pilot))
    else:
        assumed = FLAGS.spread / 100, FLAGS.accuracy / 100, _fraction("disagreement")
        if FLAGS.images is None:
            source = source_settings()
            words, sizes = reported_groups(source, split_settings())
        else:
            if FLAGS["dataset"].present:
                raise BadInput("--images with --dataset: expected one of the two")
            require_range("--images", FLAGS.images, 2, MOST_IMAGES)
            words, sizes = "no data set", np.ones(FLAGS.images, int)
        ground = ground_of_images(words, sizes, *assumed)
        if not ground.found.variance:
            raise BadInput("--spread=0 and --disagreement=0: nothing would vary; expected one of them above 0")
    write_plan(ground, question, Path(FLAGS.workdir), source)


def _fraction(name: str) -> float | None:
    value = FLAGS[name].value
    return None if value is None else value / 100


COMMAND = Command("plan", __doc__, main, (define_plan_flags, define_source_flags, define_split_flags))

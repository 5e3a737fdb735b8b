"""Does the shortcut help on these images? Trains every network over several seeds and compares them.

  python -m experiments.compare --flagfile=quickstart
  python -m experiments.compare --dataset=folder:my_images --image_size=64 --width=16

All networks see the same images in the same order with the same recipe, and shared parameters start from the same
numbers. The answer says which network is better, by how much and within which interval, or "inconclusive" with the
number of seeds that would be needed. --seeds=auto adds seeds until there is a verdict, at most 20.

The results are in --workdir, by default runs/NAME for --flagfile=NAME and runs/compare without one: report.html,
summary.json, figures/, results.csv (a row for each network, seed and epoch), results.tex and results.md (the table for
papers), and a folder for each network and seed; timing.json says where the time went. The same command resumes.

With --folds=5, or several methods in --split, the comparison runs once for each split, in a folder of its own in
--workdir; splits.json and a figure show the splits side by side.

With several devices each trains one seed (--replicas_as), or several share every batch (--mesh). On several hosts, run
the same command everywhere with --coordinator_address.
"""

import shlex
import sys
from pathlib import Path

from absl import flags

from resjax.cli.flags.data import define_source_flags, define_split_flags, require_dataset
from resjax.cli.flags.probes import define_probe_flags, probe_settings
from resjax.cli.flags.settings import define_training_flags, settings
from resjax.cli.machine import define_process_flags, take_part
from resjax.cli.program import Command
from resjax.models.own_network import architectures_among
from resjax.run.progress import rough_duration
from resjax.run.settings import Settings

FLAGS = flags.FLAGS
LONG = 3600.0
"""Seconds of a run above which it is asked for."""
SMALL = {"image_size": 64, "width": 16, "epochs": 10}
"""What a first run may have."""


def define_question_flag() -> None:
    flags.DEFINE_boolean("yes", False, "begin without asking, even if the run will take more than an hour")


def main() -> None:
    from resjax.run.compare import compare, follow_compare

    asked, probes = settings("compare"), probe_settings()
    require_dataset("compare")

    def first() -> None:
        compare(asked, probes, before_training=lambda seconds: agree(asked, seconds))
        # With several splits each has a report of its own.
        if (asked.workdir / "report.html").exists():
            print(next_steps(asked.workdir, asked.source.dataset))

    take_part(first, lambda: follow_compare(asked))


def agree(asked: Settings, seconds: float) -> None:
    """Says how a run of more than an hour would be shorter, and asks on a terminal whether to begin.

    Ends the program with status 1 where the answer is no.
    """
    if seconds <= LONG:
        return
    print(f"This will take {rough_duration(seconds)}. {shorter(asked)}", flush=True)
    is_asked = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    if FLAGS.yes or FLAGS.coordinator_address is not None or not is_asked:
        return
    if input("Begin? (y or n; --yes begins without a question) ").strip().lower() not in ("y", "yes"):
        print("nothing was trained")
        sys.exit(1)


def shorter(asked: Settings) -> str:
    """How a run becomes shorter: the flags whose values are large, with smaller ones."""
    has = {
        "image_size": asked.image_size,
        "width": max((network.width for network in architectures_among(asked.architectures)), default=0),
        "epochs": asked.recipe.epochs,
    }
    smaller = [f"--{name}={small}" for name, small in SMALL.items() if has[name] > small]
    if smaller:
        return f"For a first look, smaller: {' '.join(smaller)}"
    return "For a first look: fewer --seeds or --architectures, or --train_fraction=0.1"


def next_steps(workdir: Path, dataset: str) -> str:
    """The last lines of a run: its report, its picture, and three commands that may come next."""
    folder, picture = shlex.quote(str(workdir)), workdir / "figures" / "answer.png"
    if dataset.partition(":")[0] == "synthetic":
        first = "your own images", "resjax compare --dataset=folder:my_images --image_size=64 --width=16"
    else:
        first = "copies, damaged files and contradicting labels", f"resjax audit {shlex.quote(f'--dataset={dataset}')}"
    commands = (
        first,
        ("why it helps, or not", f"resjax probe --workdir={folder}"),
        ("classify pictures", f"resjax predict --workdir={folder} photo.jpg"),
    )
    lines = [f"report:  {workdir / 'report.html'}", *([f"picture: {picture}"] * picture.exists()), "next:"]
    return "\n".join([*lines, *(f"  {what}\n    {command}" for what, command in commands)])


COMMAND = Command(
    "compare",
    __doc__,
    main,
    (
        *(define_source_flags, define_split_flags, define_training_flags, define_probe_flags, define_process_flags),
        define_question_flag,
    ),
)

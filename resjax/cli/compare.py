"""Does the shortcut help on these images? Trains every arm over several seeds and writes down what came out.

  python -m experiments.compare --flagfile=experiments/flags/quickstart.flags
  python -m experiments.compare --dataset=folder:my_images --image_size=64 --width=16 --seeds=6 --workdir=runs/mine

All arms see the same images in the same order with the same recipe, and start from the same numbers where they share
parameters. Results lie in --workdir: report.html, summary.json, figures/, and a folder for each replica; timing.json
says where the time went. The same command skips the replicas that are finished and goes on with the others. It ends
with a sentence: which arm is better, by how much and within what interval, or that this is inconclusive and what would
settle it. --seeds=auto adds seeds until then.

With --folds=5, or several methods in --split, all of that happens once a split, each in a folder of its own in
--workdir, and splits.json and a figure show them side by side.

On several devices each trains a replica (--replicas_as), or some share every batch (--mesh). Several hosts run the same
command with --coordinator_address.
"""

from resjax.cli.data_flags import define_source_flags, define_split_flags
from resjax.cli.machine import define_process_flags, take_part
from resjax.cli.probe_flags import define_probe_flags, probe_settings
from resjax.cli.program import Command
from resjax.cli.settings import define_training_flags, settings


def main() -> None:
    from resjax.run.compare import compare, help_compare

    asked, probes = settings("compare"), probe_settings()
    take_part(asked.stopping, lambda: compare(asked, probes), lambda: help_compare(asked))


COMMAND = Command(
    "compare",
    __doc__,
    main,
    (define_source_flags, define_split_flags, define_training_flags, define_probe_flags, define_process_flags),
)

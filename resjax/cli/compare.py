"""Does the shortcut help on these images? Trains every network over several seeds and compares them.

  python -m experiments.compare --flagfile=experiments/flags/quickstart.flags
  python -m experiments.compare --dataset=folder:my_images --image_size=64 --width=16 --seeds=6 --workdir=runs/mine

All networks see the same images in the same order with the same recipe, and shared parameters start from the same
numbers. The results are in --workdir: report.html, summary.json, figures/, results.csv (a row for each network, seed
and epoch), results.tex and results.md (the table for papers), and a folder for each replica; timing.json says where the
time went. The same command skips finished replicas and resumes the others. The last line is the answer:
which network is better, by how much and within which interval, or "inconclusive" with the number of seeds that would be
needed. --seeds=auto adds seeds until there is an answer.

With --folds=5, or several methods in --split, the comparison runs once for each split, in a folder of its own in
--workdir; splits.json and a figure show the splits side by side.

With several devices each trains a replica (--replicas_as), or several share every batch (--mesh). On several hosts, run
the same command everywhere with --coordinator_address.
"""

from resjax.cli.flags.data import define_source_flags, define_split_flags
from resjax.cli.flags.probes import define_probe_flags, probe_settings
from resjax.cli.flags.settings import define_training_flags, settings
from resjax.cli.machine import define_process_flags, take_part
from resjax.cli.program import Command


def main() -> None:
    from resjax.run.compare import compare, follow_compare

    asked, probes = settings("compare"), probe_settings()
    take_part(lambda: compare(asked, probes), lambda: follow_compare(asked))


COMMAND = Command(
    "compare",
    __doc__,
    main,
    (define_source_flags, define_split_flags, define_training_flags, define_probe_flags, define_process_flags),
)

"""What is in these images? Finds duplicates, labels in conflict, odd files, and how much a random split would leak.

  python -m experiments.audit --dataset=csv:train.csv --workdir=runs/audit

Writes dataset.json, and audit.html with the duplicate groups for a person to judge, into --workdir. The audit leaves
out what training would leave out, and changes no image. Leaks are those of a random split with --val_fraction.
"""

from pathlib import Path

from absl import flags

from resjax.cli.flags.data import define_source_flags, source_settings
from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command
from resjax.data.splits import VAL_FRACTION

FLAGS = flags.FLAGS


def define_audit_flags() -> None:
    flags.DEFINE_float("val_fraction", VAL_FRACTION, "share of the images that the random splits would validate on")
    define_path("workdir", "runs/audit", "folder of dataset.json and audit.html")


def main() -> None:
    from resjax.run.audit import audit

    audit(source_settings(), FLAGS.val_fraction, Path(FLAGS.workdir))


COMMAND = Command("audit", __doc__, main, (define_source_flags, define_audit_flags))

"""What is in these images? Copies and near-copies, labels that contradict each other, odd files, expected leaks.

  python -m experiments.audit --dataset=csv:train.csv --workdir=runs/audit

Writes dataset.json, and audit.html with the groups of copies for a person to judge, into --workdir. Nothing is left out
here that training would not leave out, and no image is changed. Leaks are those of a random split with --val_fraction.
"""

from pathlib import Path

from absl import flags

from resjax.cli.data_flags import define_source_flags, source_settings
from resjax.cli.program import Command
from resjax.data.splits import VAL_FRACTION

FLAGS = flags.FLAGS


def define_audit_flags() -> None:
    flags.DEFINE_float("val_fraction", VAL_FRACTION, "share of the images that the random splits would validate on")
    flags.DEFINE_string("workdir", "runs/audit", "folder of dataset.json and audit.html")


def main() -> None:
    from resjax.run.audit import audit

    audit(source_settings(), FLAGS.val_fraction, Path(FLAGS.workdir))


COMMAND = Command("audit", __doc__, main, (define_source_flags, define_audit_flags))

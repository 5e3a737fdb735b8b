"""What is in these images? Finds duplicates, contradicting labels, damaged files, and leaks of a random split.

  python -m experiments.audit --dataset=folder:my_images --workdir=runs/audit

Writes audit.html, which shows the groups of duplicates so that you can judge, and dataset.json into --workdir. No image
is changed. The audit leaves out the files that training leaves out. Leaks are those of a random split with
--val_fraction.
"""

from pathlib import Path

from absl import flags

from resjax.cli.flags.data import define_source_flags, source_settings
from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command
from resjax.data.splits import VAL_FRACTION

FLAGS = flags.FLAGS


def define_audit_flags() -> None:
    flags.DEFINE_float(
        "val_fraction", VAL_FRACTION, "share of the images that a random split would keep for validation"
    )
    define_path("workdir", "runs/audit", "folder of dataset.json and audit.html")


def main() -> None:
    from resjax.run.audit import audit

    audit(source_settings(), FLAGS.val_fraction, Path(FLAGS.workdir))


COMMAND = Command("audit", __doc__, main, (define_source_flags, define_audit_flags))

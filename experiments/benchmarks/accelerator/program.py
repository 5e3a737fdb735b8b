"""From the flags of `--suite=accelerator` to its rows and their table."""

import sys
from pathlib import Path

from absl import flags

from resjax.errors import BadInput
from resjax.training.recipe import require_range

from ..harness.contenders import in_a_process
from ..harness.machine import find_device
from .settings import SuiteSettings

FLAGS = flags.FLAGS


def run_accelerator_suite() -> None:
    """Runs the suite, prints its rows as they come and the table at the end."""
    require_range("--minutes", FLAGS.minutes, 0, above=True)
    for flag in ("dataset", "cifar"):
        kind, _, place = (getattr(FLAGS, flag) or "").partition(":")
        if kind in ("npz", "csv", "folder") and not Path(place).exists():
            raise BadInput(f"--{flag}={getattr(FLAGS, flag)}: there is no {place}")
    # They import jax, which --help does without.
    from .steps import STEPS
    from .suite import run_suite
    from .table import latest, suite_markdown

    device = in_a_process(find_device)
    settings = SuiteSettings(
        device=device,
        workdir=Path(FLAGS.workdir).absolute(),
        dataset=FLAGS.dataset,
        image_dir=FLAGS.image_dir,
        split_file=FLAGS.split_file,
        cifar=FLAGS.cifar,
    )
    print(f"the accelerator suite, {FLAGS.minutes:g} min at most, on {device.name}", flush=True)
    if settings.rehearsal:
        print("There is no accelerator here: this is a rehearsal at tiny sizes, and its times say nothing.", flush=True)
    rows = run_suite(settings, STEPS, 60 * FLAGS.minutes, Path(FLAGS.json) if FLAGS.json else None)
    print("\n" + suite_markdown(rows))
    if any(row.status == "failed" for row in latest(rows)):
        sys.exit(1)

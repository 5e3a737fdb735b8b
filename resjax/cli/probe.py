"""Why does the shortcut help, or not? Measures the usual explanations on the checkpoints of a finished comparison.

  python -m experiments.probe --workdir=runs/mine
  python -m experiments.probe --workdir=runs/mine --probes=all
  python -m experiments.probe --workdir=runs/mine --probes=landscape,curvature --probe_seeds=1

The flags of the comparison are read from its workdir. The command first says how long it will take. It writes
probes.json (the measurements, a sentence for each probe, and which explanations they support), figures, and the report
with a section on the probes. Results of earlier probes stay in the record.
"""

import os
from pathlib import Path

from resjax.cli.flags.data import define_source_flags, define_split_flags
from resjax.cli.flags.probes import define_probe_flags, probe_settings
from resjax.cli.flags.settings import define_training_flags, settings
from resjax.cli.machine import define_process_flags
from resjax.cli.program import Command
from resjax.errors import BadInput


def with_flags_of_run(arguments: list[str]) -> list[str]:
    """The command line with the flags of the run in its --workdir before its own, which win."""
    for position, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name.lstrip("-") == "workdir":
            workdir = Path(
                os.path.expanduser(value or (arguments[position + 1] if position + 1 < len(arguments) else ""))
            )
            kept = workdir / "config.flags"
            return [*([f"--flagfile={kept}"] if kept.exists() else []), *arguments]
    return arguments


def main() -> None:
    from resjax.run.probing import probe_workdir

    probes = probe_settings(default="fast")
    if probes is None:
        raise BadInput("--probes=none: expected fast, all or names of probes")
    # It imports jax, which --help does without.
    from resjax.run.setup.device import require_backend

    asked = settings("probe")
    require_backend()
    probe_workdir(asked, probes)


COMMAND = Command(
    "probe",
    __doc__,
    main,
    (define_source_flags, define_split_flags, define_training_flags, define_probe_flags, define_process_flags),
    prepare=with_flags_of_run,
)

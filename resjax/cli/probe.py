"""Why the shortcut helps, or does not: measures what is usually asserted, on the checkpoints of a finished comparison.

  python -m experiments.probe --workdir=runs/mine
  python -m experiments.probe --workdir=runs/mine --probes=all
  python -m experiments.probe --workdir=runs/mine --probes=landscape,curvature --probe_seeds=1

The flags of the comparison are read from its workdir. It says what it will cost before it begins, and writes
probes.json (what it measured, a sentence for each probe, and which usual explanations that supports), figures, and the
report with a section on it. Probes that have run before stay in the record.
"""

import sys
import time
from pathlib import Path

from resjax.cli.compare import load_splits
from resjax.cli.data_flags import define_source_flags, define_split_flags
from resjax.cli.settings import Settings, define_training_flags, main_program, settings
from resjax.cli.probe_flags import ProbeSettings, define_probe_flags, probe_settings
from resjax.cli.process_flags import define_process_flags
from resjax.run.progress import duration
from resjax.types import BadInput


def probe_workdir(settings: Settings, probes: ProbeSettings) -> dict:
    """Probes the comparison in a workdir, and writes its figures and its report again.

    Raises:
      BadInput: where the workdir holds no finished replica with its checkpoints, or those of other data.
    """
    # They import jax, which --help does without.
    from resjax.run.comparison import Run
    from resjax.run.load_data import load_dataset
    from resjax.run.probing import probe
    from resjax.run.run_report import write_run_report
    from resjax.report.figures.run_figures import draw_figures

    started = time.perf_counter()
    workdir = settings.workdir
    if (workdir / "splits.json").exists():
        raise BadInput(f"--workdir={workdir} holds a comparison on several splits: one of its folders is accepted")
    if not (workdir / "summary.json").exists():
        raise BadInput(f"--workdir={workdir}: no summary.json there; the workdir of a comparison is accepted")
    _, dataset = load_dataset(settings.source, settings.image_size)
    (split,) = load_splits(settings, dataset).values()
    run = Run(settings, dataset, split)
    run.require_same_recipe()
    record = probe(run, probes)
    draw_figures(workdir)
    write_run_report(workdir, dataset)
    print(f"\n{record['paragraph']}")
    print(f"\nprobes.json, report.html and figures are in {workdir} ({duration(time.perf_counter() - started)} in all)")
    return record


def with_flags_of_run(arguments: list[str]) -> list[str]:
    """The command line with the flags of the run in its --workdir before its own, which win."""
    for position, argument in enumerate(arguments):
        name, _, value = argument.partition("=")
        if name.lstrip("-") == "workdir":
            workdir = Path(value or (arguments[position + 1] if position + 1 < len(arguments) else ""))
            kept = workdir / "config.flags"
            return [arguments[0], *([f"--flagfile={kept}"] if kept.exists() else []), *arguments[1:]]
    return arguments


def main() -> None:
    probes = probe_settings(default="fast")
    if probes is None:
        raise BadInput("--probes=none: fast, all or names of probes are accepted")
    probe_workdir(settings("probe"), probes)


if __name__ == "__main__":
    sys.argv = with_flags_of_run(sys.argv)
    main_program(
        main,
        *(define_source_flags, define_split_flags, define_training_flags, define_probe_flags, define_process_flags),
    )

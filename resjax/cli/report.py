"""Makes the report of a comparison again, from its records alone: needs neither the images nor jax.

  python -m experiments.report --workdir=runs/mine
  python -m experiments.report --workdir=runs/seeds_0_to_5,runs/seeds_6_to_11

Writes report.html into the workdir, and the tables for papers beside it: results.csv (a row for each network, seed and
epoch), results.tex (for LaTeX with booktabs) and results.md. With --output it writes this file alone. A comparison on
several splits gets a report for each split; sweeps and reproductions get their own kinds of report.

Several workdirs of the same data and recipe become one comparison of all their seeds and networks: merged_report.html
and merged_results.* in the first workdir. Its verdict says whether others were shown before, and is kept in looks.json
of each.
"""

from pathlib import Path

from absl import flags

from resjax.cli.flags.paths import define_path
from resjax.cli.program import Command
from resjax.errors import RecordError

FLAGS = flags.FLAGS


def define_flags() -> None:
    define_path("workdir", "", "folder of a comparison, or several joined by commas", separator=",")
    define_path("output", None, "file of the report; by default in the workdir")


def main() -> None:
    from resjax.records import ReproductionRecord, Splits, Sweep, read_record
    from resjax.run.reporting import page_of, write_page, write_report

    workdirs = [Path(part) for part in FLAGS.workdir.split(",") if part]
    output = Path(FLAGS.output) if FLAGS.output else None
    if not workdirs:
        raise RecordError("--workdir: expected one or more folders of comparisons, joined by commas")
    workdir = workdirs[0]
    if len(workdirs) > 1:
        print(write_report(workdirs, output))
    elif (workdir / "reproduction.json").exists():
        from resjax.report.page.reproduction_page import reproduction_page

        path = output or workdir / "reproduction.html"
        with page_of(path, [workdir]):
            write_page(path, reproduction_page(read_record(workdir / "reproduction.json", ReproductionRecord)))
        print(path)
    elif (workdir / "splits.json").exists():
        names = list(read_record(workdir / "splits.json", Splits).splits)
        if output:
            raise RecordError(f"--output={output}: {workdir} has a report for each of {', '.join(names)}")
        for name in names:
            print(write_report([workdir / name]))
    elif (workdir / "sweep.json").exists():
        from resjax.report.page.sweep_page import sweep_page

        path = output or workdir / "report.html"
        with page_of(path, [workdir]):
            write_page(path, sweep_page(read_record(workdir / "sweep.json", Sweep)))
        print(path)
    else:
        print(write_report(workdirs, output))


COMMAND = Command("report", __doc__, main, (define_flags,))

"""Makes the report of a comparison again, from its records alone: needs neither the images nor jax.

  python -m experiments.report --workdir=runs/mine
  python -m experiments.report --workdir=runs/seeds_0_to_5,runs/seeds_6_to_11

Several workdirs of the same data and recipe become one comparison of all their seeds and networks. Writes report.html
into the workdir, for several workdirs merged_report.html into the first, or the file that --output names. A comparison
on several splits gets a report for each split, a sweep its own report, and a reproduction its own page.
"""

from pathlib import Path

from absl import flags

from resjax.cli.program import Command
from resjax.errors import RecordError

FLAGS = flags.FLAGS


def define_flags() -> None:
    flags.DEFINE_string("workdir", "", "folder of a comparison, or several joined by commas")
    flags.DEFINE_string("output", None, "file of the report; by default in the workdir")


def main() -> None:
    from resjax.report.page.reproduction_page import reproduction_page
    from resjax.report.records import read_json, write_text
    from resjax.run.reporting import write_page, write_report

    workdirs = [Path(part) for part in FLAGS.workdir.split(",") if part]
    output = Path(FLAGS.output) if FLAGS.output else None
    if not workdirs:
        raise RecordError("--workdir: expected one or more folders of comparisons, joined by commas")
    several, reproduced = workdirs[0] / "splits.json", workdirs[0] / "reproduction.json"
    if len(workdirs) == 1 and reproduced.exists():
        path = output or workdirs[0] / "reproduction.html"
        write_page(path, reproduction_page(read_json(reproduced)))
        print(path)
    elif len(workdirs) == 1 and several.exists():
        names = list(read_json(several)["splits"])
        if output:
            raise RecordError(f"--output={output}: {workdirs[0]} has a report for each of {', '.join(names)}")
        for name in names:
            print(write_report([workdirs[0] / name]))
    elif len(workdirs) == 1 and (workdirs[0] / "sweep.json").exists():
        from resjax.report.page.sweep_page import sweep_page  # Imports matplotlib, which --help does without.

        page = output or workdirs[0] / "report.html"
        write_text(page, sweep_page(read_json(workdirs[0] / "sweep.json")))
        print(page)
    else:
        print(write_report(workdirs, output))


COMMAND = Command("report", __doc__, main, (define_flags,))

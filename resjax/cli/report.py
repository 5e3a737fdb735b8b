"""The report of a comparison, from its records alone: needs neither the images nor jax.

  python -m experiments.report --workdir=runs/mine
  python -m experiments.report --workdir=runs/seeds_0_to_5,runs/seeds_6_to_11

Several workdirs of the same data and recipe become one comparison of all their seeds and arms. Writes report.html into
the workdir, for several into the first as merged_report.html, or into --output. A workdir of several splits gets a
report for each split, one of a sweep the sweep's, and one of a reproduction its own page, from reproduction.json.
"""

import sys
from pathlib import Path

from absl import flags

from resjax.evaluation.explain import explained
from resjax.evaluation.merging import merged
from resjax.report.page.run_page import report_page
from resjax.report.records import read_json, write_text
from resjax.report.page.reproduction_page import reproduction_page
from resjax.records.run_records import read_run_records
from resjax.report.storage import RecordError

FLAGS = flags.FLAGS


def write_report(workdirs: list[Path], output: Path | None = None) -> Path:
    """Writes the report of a workdir, or of several together, and returns its path.

    Raises:
      RecordError: where there are no records, they cannot be read, or they are not of one recipe.
    """
    records = [read_run_records(workdir) for workdir in workdirs]
    together = records[0] if len(records) == 1 else merged(workdirs, records)
    path = output or workdirs[0] / ("report.html" if len(records) == 1 else "merged_report.html")
    write_page(path, report_page(explained(together)))
    return path


def write_page(path: Path, page: str) -> None:
    """Writes a page; raises `RecordError` where it cannot be written."""
    try:
        write_text(path, page)
    except OSError as error:
        raise RecordError(f"--output={path}: {error.strerror}; a file that can be written is accepted") from error


def main() -> None:
    workdirs = [Path(part) for part in FLAGS.workdir.split(",") if part]
    output = Path(FLAGS.output) if FLAGS.output else None
    if not workdirs:
        raise RecordError("--workdir: one or more folders of comparisons are accepted, with commas between")
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


def define_flags() -> None:
    flags.DEFINE_string("workdir", "", "folder of a comparison, or several with commas between")
    flags.DEFINE_string("output", None, "file of the report; by default in the workdir")


if __name__ == "__main__":
    # Not resjax.cli.settings.main_program, which imports the networks and with them jax.
    define_flags()
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(__doc__)
        for name in ("workdir", "output"):
            print(f"  --{name}\n      {FLAGS[name].help}")
        sys.exit()
    try:
        if rest := FLAGS(sys.argv)[1:]:
            raise RecordError(f"{rest[0]!r}: --workdir=RUN and --output=FILE are accepted, no other words")
        main()
    except (RecordError, flags.Error) as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)

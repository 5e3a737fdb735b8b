"""Whether a folder may become, or is, a workdir of ours: nobody else's files are overwritten or renamed."""

from collections.abc import Collection
from pathlib import Path

from resjax.errors import BadInput, RecordError
from resjax.records import read_values

COMPARISON_RECORDS = ("recipe.json", "summary.json", "splits.json", "dataset.json", "split.json")
"""Records that say whose a folder is. `dataset.json` is the first that a comparison writes, and all that an audit
leaves."""
COMPARISON_FILES = (
    *COMPARISON_RECORDS,
    *("config.flags", "timing.json", "gallery.json", "looks.json", "probes.json", "report.html", "figures", "runs"),
    *("results.csv", "results.tex", "results.md"),
)
"""What a comparison writes into its workdir."""


def require_own(
    workdir: Path, files: Collection[str] = COMPARISON_FILES, records: Collection[str] = COMPARISON_RECORDS
) -> None:
    """Refuses a folder that has files of these names, but none of the records that we would have written with them.

    Other files in the folder do not matter: they stay as they are.

    Args:
      workdir: the folder.
      files: names of what would be written into it.
      records: names or patterns of records that show that the folder is ours. One that can be read is enough, because
        the others may be damaged.

    Raises:
      BadInput: names the files that would be overwritten.
    """
    there = [name for name in files if (workdir / name).exists()]
    if there and not any(_is_own(path) for pattern in records for path in workdir.glob(pattern)):
        raise BadInput(
            f"--workdir={workdir} holds {', '.join(there)}, but no readable record of ours: name a new folder, so that "
            "nothing is overwritten"
        )


def require_no_point(workdir: Path) -> None:
    """Refuses to train in the folder of a sweep's point, whose replicas the sweep locks one by one.

    Raises:
      BadInput: names the sweep.
    """
    cells = workdir.resolve().parent
    if cells.name == "cells" and (cells.parent / "sweep.json").is_file():
        raise BadInput(
            f"--workdir={workdir} is a point of the sweep in {cells.parent}, which trains there; expected a new folder "
            "or the sweep's command"
        )


def _is_own(path: Path) -> bool:
    try:
        values = read_values(path)
    except (OSError, RecordError):
        return False
    return isinstance(values, dict) and "schema_version" in values

"""The environments in which the replicas of a workdir were trained: recorded with each, and not mixed unasked."""

from collections.abc import Iterable
from pathlib import Path

from resjax.errors import BadInput, DamagedRecord
from resjax.records import (
    Environment,
    ReplicaEnvironments,
    numeric_differences,
    read_record,
    read_result,
    set_aside,
    write_record,
)

NAME = "environment.json"


def environments_of(folder: Path) -> list[Environment]:
    """Those in which a replica was trained so far, in order; none for one that has not begun or does not say.

    A damaged record is quarantined. A finished replica has its environments in `result.json` too.
    """
    try:
        if (folder / NAME).exists():
            return read_record(folder / NAME, ReplicaEnvironments).environments
    except DamagedRecord as error:
        print(f"WARNING: {error}: it is now {set_aside(folder / NAME).name}", flush=True)
    try:
        return read_result(folder / "result.json").environments or []
    except (DamagedRecord, FileNotFoundError):
        return []


def record_environment(folder: Path, now: Environment, *, resumed: bool) -> list[Environment]:
    """Adds the environment of now to those of a replica that is about to be trained, and returns them all.

    Args:
      folder: of the replica.
      now: the environment of this process.
      resumed: whether the replica keeps what it was trained before. Otherwise its earlier environments do not matter.
    """
    before = environments_of(folder) if resumed else []
    if before and any(not numeric_differences(each, now) for each in before):
        return before
    found = [*before, now]
    write_record(folder / NAME, ReplicaEnvironments(environments=found))
    return found


def require_same_environment(folders: Iterable[Path], now: Environment, *, mixed: bool) -> None:
    """Refuses to train replicas beside others whose numbers come from another environment.

    Args:
      folders: of all replicas of the comparison.
      now: the environment of this process.
      mixed: whether a mixture is allowed; then a warning names the differences.

    Raises:
      BadInput: names the first replica of another environment, and the differences.
    """
    said = set()
    for folder in sorted(folders):
        for before in environments_of(folder):
            differences = numeric_differences(before, now)
            if not differences:
                continue
            text = "; ".join(f"{name} was {then}, now {here}" for name, then, here in differences)
            if not mixed:
                raise BadInput(
                    f"{folder} was trained in another environment ({text}): use that one, name a new --workdir, or "
                    "mix them with --allow_mixed_environment, which the report says"
                )
            if text not in said:
                print(f"WARNING: --allow_mixed_environment: {folder} and perhaps others: {text}", flush=True)
            said.add(text)

"""Which file each arm starts from (`--init_from`), and whether it is the file that it was."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models.torch_weights import StateDict, fill, read_state_dict


@dataclass(frozen=True)
class InitialWeights:
    """A file's arrays by torch's names, read once for all replicas of an arm."""

    path: Path
    sha256: str
    """Of the file's bytes: a file of another content is another recipe."""
    arrays: StateDict = field(repr=False, compare=False)

    def record(self) -> dict[str, str]:
        """What `summary.json` keeps."""
        return {"file": str(self.path), "sha256": self.sha256}


def parse_init_from(text: str | None, arms: Iterable[str]) -> dict[str, Path]:
    """The file of each arm: `FILE` for all of them, or `resnet34=FILE,plain34=FILE`.

    Raises:
      BadInput: for a name that is no arm, or the same one twice.
    """
    arms = list(arms)
    if not text:
        return {}
    if "=" not in text:
        return {arm: Path(text).expanduser() for arm in arms}
    files: dict[str, Path] = {}
    for part in text.split(","):
        arm, _, file = part.strip().partition("=")
        if arm not in arms or arm in files or not file:
            raise BadInput(
                f"--init_from={text!r}: FILE for all arms, or ARM=FILE for some, joined by commas, is accepted; "
                f"the arms are {', '.join(arms)}"
            )
        files[arm] = Path(file).expanduser()
    return files


def read_initial_weights(files: Mapping[str, Path], functionals: Mapping[str, Functional]) -> dict[str, InitialWeights]:
    """Each arm's weights; prints a line where a part of the file is left out.

    Raises:
      BadInput: for a file that cannot be read or does not fit its arm.
    """
    read: dict[Path, InitialWeights] = {}
    for arm, path in files.items():
        if path not in read:
            arrays = read_state_dict(path)
            read[path] = InitialWeights(path, hashlib.sha256(path.read_bytes()).hexdigest(), arrays)
        try:
            loaded = fill(functionals[arm].shapes(), read[path].arrays, source=str(path))
        except BadInput as error:
            raise BadInput(f"--init_from for {arm}: {error}") from error
        for note in loaded.notes:
            print(f"{arm}: {note}")
    return {arm: read[path] for arm, path in files.items()}

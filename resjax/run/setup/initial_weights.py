"""The file of weights that each network starts from (`--init_from`)."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resjax.errors import BadInput
from resjax.functional import Functional
from resjax.models.own_network import OwnNetwork
from resjax.models.torch_weights import StateDict, fill, read_state_dict
from resjax.records import InitFrom


@dataclass(frozen=True)
class InitialWeights:
    """The arrays of a file by torch's names, read once for all replicas of a network."""

    path: Path
    sha256: str
    """Of the file's bytes: other bytes are another recipe."""
    arrays: StateDict = field(repr=False, compare=False)

    def record(self) -> InitFrom:
        """What `summary.json` keeps of it."""
        return InitFrom(file=str(self.path), sha256=self.sha256)


def parse_init_from(text: str | None, networks: Iterable[str]) -> dict[str, Path]:
    """The file of each network: `FILE` for all of them, or `resnet34=FILE,plain34=FILE`.

    Raises:
      BadInput: for a name that is not compared, or that occurs twice.
    """
    names = list(networks)
    if not text:
        return {}
    if "=" not in text:
        return {name: Path(text) for name in names}
    files: dict[str, Path] = {}
    for part in text.split(","):
        name, _, file = part.strip().partition("=")
        if name not in names or name in files or not file:
            raise BadInput(
                f"--init_from={text!r}: expected FILE for all networks, or NETWORK=FILE for some, joined by commas; "
                f"the networks are {', '.join(names)}"
            )
        files[name] = Path(file)
    return files


def read_initial_weights(files: Mapping[str, Path], functionals: Mapping[str, Functional]) -> dict[str, InitialWeights]:
    """The weights of each network; prints a line if a part of a file is not used.

    Raises:
      BadInput: for a file that cannot be read or does not fit its network.
    """
    read: dict[Path, InitialWeights] = {}
    for name, path in files.items():
        if isinstance(functionals[name].network, OwnNetwork):
            raise BadInput(f"--init_from for {name}: a network of your own starts from its key; expected none for it")
        if path not in read:
            arrays = read_state_dict(path)
            read[path] = InitialWeights(path, hashlib.sha256(path.read_bytes()).hexdigest(), arrays)
        try:
            loaded = fill(functionals[name].shapes(), read[path].arrays, source=str(path))
        except BadInput as error:
            raise BadInput(f"--init_from for {name}: {error}") from error
        for note in loaded.notes:
            print(f"{name}: {note}")
    return {name: read[path] for name, path in files.items()}

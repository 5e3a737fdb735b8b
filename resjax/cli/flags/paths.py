"""Flags that name files and folders: `~` and `~user` are read as a shell reads them."""

import os
import re

from absl import flags

# absl counts a flag to the module that calls `define_path`, not to this one.
flags.disclaim_key_flags()

BEFORE_A_PATH = re.compile(r"(?:csv|folder|npz):|[^=/~]*=")
"""What may stand before a path in a value: the kind of a data set, or the network of a file of weights."""


class PathParser(flags.ArgumentParser[str]):
    """Expands `~` in a value.

    Args:
      separator: between several paths; None where the value is one path, which may have commas.
      prefixed: whether something of `BEFORE_A_PATH` may stand before a path.
    """

    def __init__(self, separator: str | None = None, *, prefixed: bool = False):
        self._separator, self._prefixed = separator, prefixed

    def parse(self, argument: str) -> str:
        """The value with full paths.

        Raises:
          ValueError: for an unknown user, or nothing where one path is expected; absl prints it with the flag.
        """
        if self._separator is None:
            if not argument and not self._prefixed:
                # It would be the folder in which the command runs.
                raise ValueError("expected a path")
            return self._expanded(argument)
        return self._separator.join(self._expanded(part) for part in argument.split(self._separator))

    def _expanded(self, path: str) -> str:
        before = ""
        if self._prefixed and (found := BEFORE_A_PATH.match(path)):
            before, path = found[0], path[found.end() :]
        return before + expand_home(path)

    def flag_type(self) -> str:
        return "path"


def expand_home(path: str) -> str:
    """The path with the home folder in place of `~`.

    Raises:
      ValueError: if it names the home folder of a user that this machine does not have.
    """
    expanded = os.path.expanduser(path)
    if expanded.startswith("~") and not os.path.lexists(expanded):
        user = expanded.partition("/")[0]
        raise ValueError(f"there is no home folder of {user}; expected ~/..., ./{user} or a full path")
    return expanded


def define_path(
    name: str, default: str | None, help: str, *, separator: str | None = None, prefixed: bool = False
) -> None:
    """Defines a flag that names a path, or several with a separator; see `PathParser`."""
    flags.DEFINE(PathParser(separator, prefixed=prefixed), name, default, help, serializer=flags.ArgumentSerializer())

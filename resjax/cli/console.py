"""The command `resjax NAME`: finds the command by its name and runs it."""

import sys
from importlib import import_module

from resjax.cli.program import Command, end_without_reader, run_command
from resjax.errors import closest

COMMANDS = {
    "compare": ("resjax.cli.compare", "train networks over seeds and compare them: does the shortcut help?"),
    "sweep": ("resjax.cli.sweep", "the same comparison with several learning rates, depths, widths, ..."),
    "audit": ("resjax.cli.audit", "find duplicates, damaged files and contradicting labels in your images"),
    "plan": ("resjax.cli.plan", "before training: how many seeds find a difference of which size"),
    "probe": ("resjax.cli.probe", "measure why the shortcut helps, on a finished comparison"),
    "predict": ("resjax.cli.predict", "classify images with the networks of a comparison, or export them"),
    "verdict": ("resjax.cli.verdict", "is one network better than another? From csv files of any framework"),
    "report": ("resjax.cli.report", "make the report of a comparison again, from its records"),
    "reproduce": (
        "resjax.experiments.reproductions.program",
        "run a published recipe and compare with its published numbers",
    ),
    "benchmark": ("resjax.experiments.benchmarks.program", "measure speed next to PyTorch"),
}
"""Each command with the module that defines it as `COMMAND`, and a line that says what it does. Those of
`resjax.experiments` are the folder `experiments/` of a checkout, which an installed package holds under this name."""


def main() -> None:
    """Runs the command that the first word of the command line names.

    Without one it lists the commands and exits with status 0; an unknown one ends with one line and status 2.
    """
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("--help", "-h", "help"):
        try:
            print(overview(), flush=True)
        except BrokenPipeError:
            end_without_reader()
        return
    name, *rest = arguments
    if name not in COMMANDS:
        near = closest(name, COMMANDS)
        hint = f"did you mean {near[0]}? " if near else ""
        print(f"error: {name!r}: {hint}expected one of {', '.join(COMMANDS)}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [sys.argv[0], *rest]
    run_command(find_command(name), program=("resjax", name))


def find_command(name: str) -> Command:
    """The command of a name in `COMMANDS`.

    Those of `resjax.experiments` need an installed package: a checkout has `python -m experiments.NAME` instead.
    """
    module = COMMANDS[name][0]
    try:
        return import_module(module).COMMAND
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        print(f"error: resjax is not installed; in a checkout: python -m experiments.{name}", file=sys.stderr)
        sys.exit(2)


def overview() -> str:
    """The commands, a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  resjax {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    first = (
        "Does the shortcut help on these images? Plain networks against ResNets, over seeds, with honest statistics."
    )
    last = (
        "resjax NAME --help shows the flags. A first run: resjax compare --flagfile=quickstart\n"
        "In the folder of a checkout, python -m experiments.NAME is the same (except verdict)."
    )
    return "\n".join([first, "", *lines, "", last])

"""Runs a command inside the test's own process, which takes a moment where a program of its own takes seconds."""

import importlib
import io
import logging as standard_logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from absl import flags, logging

from resjax.cli.program import Command, run_command

FLAGS = flags.FLAGS
OURS = ("resjax", "experiments", "tests", "test_", "__main__")
"""How the names of the modules begin whose flags are forgotten before and after."""


def run_in_process(command: Command, *arguments: object) -> tuple[int, str, str]:
    """Runs a command as its program would and returns its exit status, and what it wrote to stdout and stderr.

    The flags of earlier commands are forgotten before it, its own after it. An exception that would end the program
    with a traceback is raised.

    >>> run_in_process(Command("hello", "Says hello.", lambda: print("hello"), ()))
    (0, 'hello\\n', '')
    """
    out, err, status = io.StringIO(), io.StringIO(), 0
    argv, excepthook, thread_hook = sys.argv, sys.excepthook, threading.excepthook
    filtered = {logger: list(logger.filters) for logger in (standard_logging.getLogger("asyncio"), absl_logger())}
    forget_flags()
    try:
        sys.argv = [command.name]
        with redirect_stdout(out), redirect_stderr(err):
            run_command(command, [str(argument) for argument in arguments])
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        forget_flags()
        sys.argv, sys.excepthook, threading.excepthook = argv, excepthook, thread_hook
        for logger, filters in filtered.items():
            logger.filters[:] = filters
    return status, out.getvalue(), err.getvalue()


def run_program(name: str, *arguments: object, cwd: Path) -> CompletedProcess[str]:
    """Runs `python -m experiments.NAME` in a folder, inside the test's own process.

    Its cache lies in the folder, unless the arguments say where.
    """
    command = importlib.import_module(f"experiments.{name}").COMMAND
    with chdir(cwd), patch.dict(os.environ, {"XDG_CACHE_HOME": str(Path(cwd) / "cache")}):
        status, out, err = run_in_process(command, *arguments)
    return CompletedProcess([name, *map(str, arguments)], status, out, err)


def require_understood(name: str, *arguments: object, cwd: Path) -> None:
    """Asserts that `python -m experiments.NAME` understands its flags in a folder; it does no more than that."""
    command = importlib.import_module(f"experiments.{name}").COMMAND
    with chdir(cwd):
        status, _, err = run_in_process(replace(command, main=lambda *words: None), *arguments)
    assert status == 0, f"{name} {' '.join(map(str, arguments))}: {err}"


def require_bad_input(command: Command, *arguments: object, says: tuple[str, ...]) -> str:
    """Asserts that a command ends with status 2 and one line on stderr that has these words, and returns the line."""
    status, _, err = run_in_process(command, *arguments)
    assert status == 2, f"exit status {status}: {err}"
    assert err.startswith("error: ") and err.count("\n") == 1, err
    for words in says:
        assert words in err, f"{words!r} is not in: {err}"
    return err


def forget_flags() -> None:
    """Undefines the flags of our commands, and has absl's own at their defaults."""
    for name in list(FLAGS):
        if (FLAGS.find_module_defining_flag(name) or "").startswith(OURS):
            delattr(FLAGS, name)
    FLAGS.unparse_flags()
    # Unparsed flags raise an error when they are read, absl's own by its logging.
    FLAGS.mark_as_parsed()
    FLAGS.set_gnu_getopt(False)


def absl_logger() -> standard_logging.Logger:
    return logging.get_absl_logger()


@contextmanager
def parsed_flags(command: Command, *arguments: object) -> Iterator[None]:
    """Inside it, absl's flags are those of a command line; the flags of earlier commands are forgotten."""
    argv = sys.argv
    forget_flags()
    try:
        for define in command.definitions:
            define()
        sys.argv = [command.name, *map(str, arguments)]
        FLAGS(sys.argv)
        yield
    finally:
        sys.argv = argv
        forget_flags()

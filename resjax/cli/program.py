"""The frame of every command: its flags, `--help`, errors in one line, and the exit status."""

import errno
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from absl import flags

from resjax.cli.flags.names import unknown_flag, unreadable_value
from resjax.cli.help import HELP, HELPFULL, help_text
from resjax.cli.jax_settings import import_jax, use_own_jax_settings
from resjax.cli.machine import allow_open_files, keep_compiled_programs, use_gpu_flags
from resjax.data.cache import default_cache_dir
from resjax.errors import BadInput, RecordError, closest
from resjax.run.stopping import Stopped, end_even_if_stuck, leave, listening, resume_line, say
from resjax.terminal import status_line
from resjax.training.memory import begin_with_huge_pages, hold_memory

FLAGS = flags.FLAGS
PACKAGE = Path(__file__).parents[1]
FLAGFILES = (PACKAGE / "experiments" / "flags", PACKAGE.parent / "experiments" / "flags")
"""Where the flagfiles that ship lie: in an installed package, and in a checkout."""
DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR),
    *(errno.ESTALE, errno.ENOENT, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE),
}
"""System errors that the disk, the drive or a folder causes, and not resjax."""

ThreadHook = Callable[[threading.ExceptHookArgs], object]
NO_FILES = {errno.EMFILE, errno.ENFILE}
"""System errors at the limit of open files."""


@dataclass(frozen=True)
class Command:
    """A command of `resjax NAME` and `python -m experiments.NAME`.

    `main` gets the words of the command line that are no flags where `takes_words`, and nothing otherwise; then such a
    word is bad input. `prepare` may change the arguments before they are parsed.
    """

    name: str
    introduction: str | None
    """What `--help` says first: the docstring of the command's module."""
    main: Callable[..., None]
    definitions: tuple[Callable[[], None], ...]
    """Each defines some flags, in the order of `--help`."""
    takes_words: bool = False
    prepare: Callable[[list[str]], list[str]] = list


def run_command(command: Command, arguments: Sequence[str] | None = None, program: Sequence[str] | None = None) -> None:
    """Defines the flags of a command, parses the arguments and runs it.

    Bad input ends with one line on stderr and exit status 2, a full or unwritable disk with one line and status 1.

    Args:
      arguments: of the command line, without the program; by default those of the process.
      program: the words by which a user starts this command, for the line that says how to resume.
    """
    is_process = arguments is None
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    program = list(program or ("python", "-m", f"experiments.{command.name}"))
    defined = _defined_flags(command.definitions)
    try:
        if (HELP | {HELPFULL}) & set(arguments):
            full = HELPFULL in arguments
            print(help_text(command.introduction, defined, name=command.name, program=program, full=full), flush=True)
            return
        if is_process and "compile_cache" in FLAGS:
            begin_with_huge_pages()
        with listening(shlex.join([*program, *arguments])):
            _run(command, arguments)
    except (BadInput, RecordError, flags.Error) as error:
        print("error: " + " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        end_without_reader()
    except OSError as error:
        line = disk_fault(error)
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr, flush=True)
        # Without a free file, threads get stuck, and objects that are half made complain when they are removed.
        end_even_if_stuck(1, *([0.0] if _lacks_files(error) else []))
        sys.exit(1)
    except Stopped as stopped:
        # The terminal may be gone, as after SIGHUP.
        with suppress(OSError):
            resume = shlex.join([*program, *arguments])
            print(f"\n{resume_line(stopped.reason, resume)}", file=sys.stderr, flush=True)
        end_even_if_stuck(stopped.status)
        sys.exit(stopped.status)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)


def _run(command: Command, arguments: Sequence[str]) -> None:
    prepared = command.prepare(shipped_flagfiles(arguments))
    # Who asks for the flagfile's name, which is the default name of the workdir, finds it in sys.argv.
    sys.argv = [sys.argv[0], *prepared]
    words = _parse(sys.argv, command.takes_words)
    allow_open_files()
    threading.excepthook = _thread_hook(threading.excepthook)
    hold_memory()
    use_own_jax_settings()
    with status_line():
        if "compile_cache" in FLAGS:
            import_jax()
        if "gpu_flags" in FLAGS:
            use_gpu_flags(FLAGS.gpu_flags)
        if "compile_cache" in FLAGS and FLAGS.compile_cache:
            keep_compiled_programs(Path(FLAGS.cache_dir or default_cache_dir()))
        command.main(*([words] if command.takes_words else []))


def end_without_reader() -> NoReturn:
    """Ends the program after the reader of its output has closed it (`| head`)."""
    # What is left in the buffer has nowhere to go.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(128 + signal.SIGPIPE)


def shipped_flagfiles(arguments: Sequence[str]) -> list[str]:
    """The arguments with the paths of flagfiles that were named without one: `--flagfile=quickstart`."""
    changed, expects_file = [], False
    for argument in arguments:
        name, equals, value = argument.partition("=")
        is_flagfile = name.lstrip("-") == "flagfile" and name.startswith("-")
        if expects_file:
            changed.append(_flagfile(argument))
        elif is_flagfile and equals:
            changed.append(f"{name}={_flagfile(value)}")
        else:
            changed.append(argument)
        expects_file = is_flagfile and not equals
    return changed


def flagfile_names() -> list[str]:
    """The names of the flagfiles that ship."""
    return sorted({path.stem for folder in FLAGFILES for path in folder.glob("*.flags")})


def _flagfile(name: str) -> str:
    """The path of a flagfile: the name itself where there is such a file, or one that ships.

    Raises:
      BadInput: where there is neither.
    """
    expanded = os.path.expanduser(name)
    if "\0" not in name and os.path.exists(expanded) and not os.path.isdir(expanded):
        return expanded
    if os.sep not in name:
        for folder in FLAGFILES:
            path = folder / f"{name.removesuffix('.flags')}.flags"
            if os.path.exists(path):
                return str(path)
    near = closest(Path(name).stem, flagfile_names())
    hint = f" (did you mean --flagfile={near[0]}?)" if near else ""
    raise BadInput(f"--flagfile={name}: no such file{hint}; expected a path, or one of {', '.join(flagfile_names())}")


def disk_fault(error: OSError) -> str | None:
    """One line for the user; None for an error that is not the disk's, and may be resjax's own.

    Every record is written whole or not at all, so that what was complete stays.
    """
    # resjax's own errors of this kind, such as CheckpointError, have a line and no number.
    own = error.errno is None and type(error) is not OSError
    if not own and error.errno not in DISK:
        return None
    said = str(error) if own or error.filename is None else f"{error.filename}: {error.strerror}"
    return f"{' '.join(said.split())}; finished work is kept, and the same command resumes once this is repaired"


def _defined_flags(definitions: Sequence[Callable[[], None]]) -> list[flags.Flag]:
    """Defines flags and returns them, in order. They are defined here, so that commands can be imported together."""
    found = []
    for define in definitions:
        before = set(FLAGS)
        define()
        found += [FLAGS[name] for name in FLAGS if name not in before]
    # A flag with two names is there twice.
    return list({flag.name: flag for flag in found}.values())


def _parse(arguments: list[str], takes_words: bool) -> list[str]:
    """Sets the flags and returns the words that are none.

    Raises `BadInput` for words where none are taken, and for what absl answers with errors of Python: a value for a
    switch that has none (--nocompile_cache=1), or a flagfile that is no text.
    """
    FLAGS.set_gnu_getopt(takes_words)
    try:
        rest = FLAGS(arguments)
    except flags.UnrecognizedFlagError as error:
        raise BadInput(unknown_flag(error.flagname, FLAGS)) from error
    except flags.Error as error:
        raise BadInput(unreadable_value(str(error), FLAGS)) from error
    except (ValueError, OSError, RecursionError) as error:
        raise BadInput(f"flags that cannot be read: {error}") from error
    if len(rest) > 1 and not takes_words:
        path = Path(rest[1])
        is_data = "dataset" in FLAGS and os.path.exists(path)
        hint = f"did you mean --dataset={'folder' if path.is_dir() else 'csv'}:{path}? " if is_data else ""
        raise BadInput(f"{rest[1]!r}: {hint}expected flags such as --epochs=3, and no other words")
    return rest[1:]


def _lacks_files(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, came from the limit of open files."""
    while error is not None and not (isinstance(error, OSError) and error.errno in NO_FILES):
        error = error.__cause__ or error.__context__
    return error is not None


def _thread_hook(before: ThreadHook) -> ThreadHook:
    """Ends the program if a thread needs a file and there is no free one: others may wait for that thread for ever."""

    def hook(ended: threading.ExceptHookArgs) -> None:
        error = ended.exc_value
        if isinstance(error, OSError) and _lacks_files(error):
            say(f"error: {disk_fault(error)}")
            leave(1)
        before(ended)

    return hook

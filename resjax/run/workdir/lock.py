"""One writer per workdir: a lock file that names its owner, and that is taken over if the owner is gone.

The lock of a workdir (`.resjax-lock`) is made by a hard link, or by O_EXCL on drives without links; its owner touches
it every 20 s and holds it by flock. Where the drive has flock, that decides on this host, also between containers of
one name. Another host's lock, and one that cannot be looked up, counts as gone after five minutes of silence. It is
held open for reading, because a file open for writing keeps a drive from becoming read-only. `compare` and `probe`
hold it; `report` and `predict` take a shared flock of the folder while they read, and whoever renames records there
takes it alone, so they work beside training. Temporary files have a name that only we use and are held by flock while
they are written; the next owner removes those that nobody holds, once the workdir is known to be ours.
"""

import fcntl
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from resjax.errors import BadInput
from resjax.records.storage import TEMPORARY, hold, temporary_path

NAME = ".resjax-lock"
BEAT_SECONDS = 20.0
"""How often an owner shows that it is alive, by the modification time of the file."""
STALE_SECONDS = 300.0
"""After this time without a sign an owner that cannot be looked up counts as gone: a notebook's lost runtime, say."""
PLACES = ("", "figures", "runs/*/*", "*", "*/figures", "*/runs/*/*")
"""Where a comparison writes files, on one split or on several."""


class Owner(NamedTuple):
    """The content of a lock file."""

    host: str
    system: str
    """The system's start, and the process ids' namespace: within both a process id means one process at a time."""
    pid: int
    began: str
    """When the process began, as its system says: process ids are reused."""
    token: str


@contextmanager
def only_writer(workdir: Path) -> Iterator[None]:
    """Holds the workdir's lock. Makes the workdir if it is missing, and removes it again if it stays empty.

    The file is locked by the system too (flock), where the drive has that. Then the lock of this host decides: two
    containers of one name and with equal process ids cannot both have it, and a killed owner loses it at once. On
    other drives the owner's process is looked up.

    Raises:
      BadInput: if another process holds it, or the folder cannot be written.
    """
    made = [folder for folder in (workdir, *workdir.parents) if not folder.exists()]
    path = workdir / NAME
    me = Owner(platform.node(), _system(), os.getpid(), _began(os.getpid()), uuid.uuid4().hex)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        while (held := _take(path, me)) is None:
            _take_away_if_stale(path, workdir)
    except OSError as error:
        _remove_empty(made)
        raise BadInput(f"--workdir={workdir}: {error.strerror}, expected a folder that can be written") from error
    ended = threading.Event()
    threading.Thread(target=_beat, args=(path, ended), daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if _owner(path) == me:
            with suppress(OSError):
                path.unlink()
        # After the file is gone: who holds it has the name, too.
        held.close()
        _remove_empty(made)


def remove_unfinished(workdir: Path) -> None:
    """Removes the temporary files that killed writers left in a comparison's workdir.

    For the owner of its lock, after the workdir is known to be one of ours. A file that another process is writing,
    such as a report, stays.
    """
    for place in PLACES:
        for path in workdir.glob(f"{place}/.*.tmp".lstrip("/")):
            if TEMPORARY.fullmatch(path.name):
                with suppress(OSError), open(path, "r+b") as file:
                    held = hold(file)
                    if held or (held is None and _age(file) > STALE_SECONDS):
                        path.unlink()


def _take(path: Path, me: Owner) -> IO[str] | None:
    """Writes the lock atomically and returns the open file, which holds it; None if there is one."""
    mine, text = temporary_path(path), json.dumps(me._asdict())
    try:
        mine.write_text(text)
        file, _ = _open_held(mine)
        try:
            os.link(mine, path)
            return file
        except FileExistsError:
            file.close()
            return None
        except OSError:
            file.close()
            return _take_without_links(path, text)
    finally:
        mine.unlink(missing_ok=True)


def _take_without_links(path: Path, text: str) -> IO[str] | None:
    try:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), "w") as file:
            file.write(text)
    except FileExistsError:
        return None
    except OSError:
        path.unlink(missing_ok=True)
        raise
    # Others that find the file hold it for a moment only, because it is too young to be taken over.
    while True:
        file, held = _open_held(path)
        if held is not False:
            return file
        file.close()
        time.sleep(0.01)


def _open_held(path: Path) -> tuple[IO[str], bool | None]:
    """A lock file, open for as long as it is held, and whether it is, as `hold` says.

    It is open for reading, because a file that is open for writing keeps a drive from being made read-only or taken
    away. Network drives may lock only what is open for writing.
    """
    file = open(path)
    held = hold(file)
    if held is None:
        with suppress(OSError):
            writable = open(path, "r+")
            file.close()
            file, held = writable, hold(writable)
    return file, held


def _take_away_if_stale(path: Path, workdir: Path) -> None:
    """Removes a lock whose owner is gone; raises BadInput if the owner is alive."""
    try:
        file, held = _open_held(path)
    except FileNotFoundError:
        return
    with file:
        owner, age = _owner(path), _age(file)
        who = f"process {owner.pid} on {owner.host}" if owner else "an unknown process"
        if held is False or _is_alive(owner, age, held=held is True):
            raise BadInput(
                f"--workdir={workdir} is being written by {who}, alive {max(age, 0):.0f} s ago: wait until it ends, "
                f"name another folder, or delete {path} if the process is gone"
            )
        with one_at_a_time(workdir):
            # Another process may have found it stale, too, and have taken it by now.
            if _owner(path) != owner or not _is_at(file, path):
                return
            print(f"the lock of {who} is {max(age, 0):.0f} s old and its owner is gone: taking it over", flush=True)
            path.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Keeps other processes and threads out for a moment, where the drive can; it ends with the process at the latest.

    `shared` is for those that only read in the folder: they may be together, and keep those out that rename there.
    Training goes on meanwhile: what it writes is whole or absent.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        # A folder that is missing or cannot be read is the caller's to name.
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_alive(owner: Owner | None, age: float, *, held: bool) -> bool:
    """Whether the owner of a lock may still write. `held` is whether the system gave us the file's lock."""
    if owner is None or owner.host != platform.node():
        # Some network drives give each host locks of its own, so having it says nothing about another host.
        return age < STALE_SECONDS
    if held:
        return False
    if owner.system != _system():
        return age < STALE_SECONDS
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return _began(owner.pid) == owner.began


def _owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _age(file: IO[Any]) -> float:
    """Seconds since the file was written or touched."""
    return time.time() - os.fstat(file.fileno()).st_mtime


def _is_at(file: IO[Any], path: Path) -> bool:
    """Whether an open file still has this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _system() -> str:
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process began, in clock ticks since the system's start; empty if unknown."""
    try:
        # The name, in brackets, may contain anything; the 20th field after it is the time.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _beat(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        with suppress(OSError):
            os.utime(path)


def _remove_empty(folders: list[Path]) -> None:
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def require_writable(workdir: Path, flag: str = "--workdir") -> None:
    """Raises `BadInput` if the folder that `flag` names could not be made, without making it."""
    if "\0" in str(workdir):
        raise BadInput(f"{flag}={str(workdir)!r}: expected a folder's name without a zero byte")
    existing = workdir.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise BadInput(f"{flag}={workdir}: {existing} is not a folder that can be written; name another")


def make_workdir(workdir: Path) -> None:
    """Makes the folder if it is missing.

    Raises:
      BadInput: if it cannot be made.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--workdir={workdir}: {error.strerror}, expected a folder that can be written") from error

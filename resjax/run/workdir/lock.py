"""One writer per workdir: a lock file that names its owner, and that is taken over if the owner is gone."""

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
from typing import NamedTuple

from resjax.errors import BadInput

NAME = ".lock"
BEAT_SECONDS = 20.0
"""How often an owner shows that it is alive, by the modification time of the file."""
STALE_SECONDS = 300.0
"""After this time without a sign an owner on another host counts as gone, such as a notebook's lost runtime. On the
same host its process is looked up."""


class Owner(NamedTuple):
    """The content of a lock file."""

    host: str
    pid: int
    began: str
    """When the process began, as its system says: process ids are reused."""
    token: str


@contextmanager
def only_writer(workdir: Path) -> Iterator[None]:
    """Holds the workdir's lock. Makes the workdir if it is missing, and removes it again if it stays empty.

    Raises:
      BadInput: if another process holds it, or the folder cannot be written.
    """
    made = [folder for folder in (workdir, *workdir.parents) if not folder.exists()]
    path = workdir / NAME
    me = Owner(platform.node(), os.getpid(), _began(os.getpid()), uuid.uuid4().hex)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        while not _take(path, me):
            _take_away_if_stale(path, workdir)
    except OSError as error:
        _remove_empty(made)
        raise BadInput(f"--workdir={workdir}: {error.strerror}, expected a folder that can be written") from error
    ended = threading.Event()
    threading.Thread(target=_beat, args=(path, ended), daemon=True).start()
    # A killed writer left these unfinished; nobody else writes here now.
    for unfinished in workdir.rglob(".*.tmp"):
        if unfinished.stem.rpartition(".")[2].isdecimal():
            unfinished.unlink(missing_ok=True)
    try:
        yield
    finally:
        ended.set()
        if _owner(path) == me:
            with suppress(OSError):
                path.unlink()
        _remove_empty(made)


def _take(path: Path, me: Owner) -> bool:
    """Writes the lock atomically; False if there is one."""
    mine = path.with_name(f"{NAME}.{me.token}.tmp")
    mine.write_text(json.dumps(me._asdict()))
    try:
        os.link(mine, path)
        return True
    except FileExistsError:
        return False
    except OSError:
        # The drive has no hard links.
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return False
        with open(descriptor, "w") as file:
            file.write(json.dumps(me._asdict()))
        return True
    finally:
        mine.unlink(missing_ok=True)


def _take_away_if_stale(path: Path, workdir: Path) -> None:
    """Removes a lock whose owner is gone; raises BadInput if the owner is alive."""
    try:
        owner, age = _owner(path), time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return
    if _is_alive(owner, age):
        known = f"process {owner.pid} on {owner.host}" if owner else "an unknown process"
        raise BadInput(
            f"--workdir={workdir} is being written by {known}, alive {max(age, 0):.0f} s ago: wait until it ends, "
            f"name another folder, or delete {path} if the process is gone"
        )
    with one_at_a_time(workdir):
        # Another process may have found it stale, too, and have taken it by now.
        if _owner(path) != owner:
            return
        who = f"process {owner.pid} on {owner.host}" if owner else "an unknown process"
        print(f"the lock of {who} is {max(age, 0):.0f} s old and its owner is gone: taking it over", flush=True)
        path.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Keeps other processes and threads out, if the drive supports it; the system ends it with the process."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_alive(owner: Owner | None, age: float) -> bool:
    if owner is None or owner.host != platform.node():
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


def _began(pid: int) -> str:
    """When a process began: the id of the system's boot and clock ticks since then; empty if unknown."""
    try:
        # The name, in brackets, may contain anything; the 20th field after it is the time.
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {ticks}"
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

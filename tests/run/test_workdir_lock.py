"""One writer a workdir: who comes second is told of the first, and a lock whose owner is gone is taken over."""

import fcntl
import json
import os
import platform
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from resjax.errors import BadInput
from resjax.records import atomic
from resjax.records.storage import TEMPORARY, temporary_path
from resjax.run.workdir.lock import (
    NAME,
    STALE_SECONDS,
    _began,
    _system,
    one_at_a_time,
    only_writer,
    remove_unfinished,
)

HELD = """
import sys, time
from pathlib import Path
from resjax.run.workdir.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def write_lock(workdir, seconds_ago: float = 0.0, **owner) -> None:
    known = {"host": platform.node(), "system": _system(), "pid": os.getpid(), "began": _began(os.getpid())}
    known |= {"token": "t"}
    (workdir / NAME).write_text(json.dumps(known | owner))
    then = time.time() - seconds_ago
    os.utime(workdir / NAME, (then, then))


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    with only_writer(tmp_path):
        with pytest.raises(BadInput, match=rf"process {os.getpid()} on {platform.node()}.*\d+ s ago"):
            with only_writer(tmp_path):
                pytest.fail("two writers")
        assert (tmp_path / NAME).exists()
    assert not (tmp_path / NAME).exists()


def test_a_folder_that_stays_empty_goes_again(tmp_path):
    with only_writer(tmp_path / "runs" / "new"):
        assert (tmp_path / "runs" / "new").is_dir()
    assert not (tmp_path / "runs").exists()


def test_the_lock_of_a_process_that_has_ended_is_taken_over(tmp_path, capsys):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    write_lock(tmp_path, pid=ended.pid)
    with only_writer(tmp_path):
        assert "taking it over" in capsys.readouterr().out


@pytest.fixture
def without_flock(monkeypatch):
    """A drive without the system's locks."""

    def unsupported(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)


def test_a_running_process_holds_the_lock_and_a_killed_one_loses_it_at_once(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HELD, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BadInput, match=f"process {other.pid} "), only_writer(tmp_path):
            pytest.fail("two writers")
        other.kill()
    with only_writer(tmp_path):
        pass


def test_who_has_the_same_host_name_and_process_id_is_told_apart_by_the_systems_lock(tmp_path):
    # In a container of its own the holder's process cannot be looked up, or is another one.
    write_lock(tmp_path, seconds_ago=STALE_SECONDS + 1, began="another process", pid=os.getpid())
    with open(tmp_path / NAME) as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BadInput, match="is being written"), only_writer(tmp_path):
            pytest.fail("two writers")
    with only_writer(tmp_path):
        pass


def test_without_the_systems_lock_an_owner_in_another_container_counts_until_it_has_been_silent_for_long(
    tmp_path, without_flock
):
    write_lock(tmp_path, system="another start pid:[1]")
    with pytest.raises(BadInput, match="is being written"), only_writer(tmp_path):
        pytest.fail("two writers")
    write_lock(tmp_path, seconds_ago=STALE_SECONDS + 1, system="another start pid:[1]")
    with only_writer(tmp_path):
        pass


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="the system does not say when a process began")
def test_without_the_systems_lock_the_owners_process_is_looked_up(tmp_path, without_flock):
    write_lock(tmp_path, seconds_ago=STALE_SECONDS + 1)
    with pytest.raises(BadInput, match="is being written"), only_writer(tmp_path):
        pytest.fail("two writers")
    # The process id came again.
    write_lock(tmp_path, began="17")
    with only_writer(tmp_path):
        with pytest.raises(BadInput, match="is being written"), only_writer(tmp_path):
            pytest.fail("two writers")


def test_a_lock_of_another_host_counts_until_it_has_been_silent_for_long(tmp_path):
    write_lock(tmp_path, host="elsewhere")
    with pytest.raises(BadInput, match="on elsewhere"), only_writer(tmp_path):
        pass
    write_lock(tmp_path, seconds_ago=STALE_SECONDS + 1, host="elsewhere")
    with only_writer(tmp_path):
        pass


def test_a_damaged_lock_counts_until_it_has_been_silent_for_long(tmp_path):
    (tmp_path / NAME).write_text("{")
    with pytest.raises(BadInput, match="an unknown process"), only_writer(tmp_path):
        pass
    os.utime(tmp_path / NAME, (0, 0))
    with only_writer(tmp_path):
        pass


def test_of_many_that_come_at_once_to_a_stale_lock_one_writes_at_a_time(tmp_path):
    write_lock(tmp_path, seconds_ago=STALE_SECONDS + 1, host="elsewhere")
    writing, most = [], []

    def write(_: int) -> bool:
        try:
            with only_writer(tmp_path):
                writing.append(1)
                most.append(len(writing))
                time.sleep(0.01)
                writing.pop()
                return True
        except BadInput:
            return False

    with ThreadPoolExecutor(8) as pool:
        wrote = [*pool.map(write, range(8))]
    assert any(wrote) and max(most) == 1


def test_what_a_killed_writer_had_not_finished_is_removed_and_nothing_else(tmp_path):
    kept = (".x.123.tmp", "a/b/c/.y.4711.tmp", "runs/plain/seed0/.store.tmp", "runs/plain/seed0/result.json")
    left = [temporary_path(tmp_path / name) for name in ("summary.json", "runs/plain/seed0/result.json")]
    for path in (*(tmp_path / name for name in kept), *left):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    with only_writer(tmp_path):
        assert all(path.exists() for path in left)
        remove_unfinished(tmp_path)
        assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == {*kept, NAME}


def test_a_file_that_another_process_is_writing_stays(tmp_path):
    with atomic(tmp_path / "report.html") as report:
        report.write(b"half ")
        remove_unfinished(tmp_path)
        report.write(b"and half")
    assert (tmp_path / "report.html").read_text() == "half and half"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_without_the_systems_lock_a_file_that_was_just_written_stays(tmp_path, without_flock):
    young, old = (temporary_path(tmp_path / name) for name in ("report.html", "summary.json"))
    for path in (young, old):
        path.write_text("half")
    os.utime(old, (0, 0))
    remove_unfinished(tmp_path)
    assert young.exists() and not old.exists()


def test_temporary_files_have_a_name_of_their_own(tmp_path):
    with atomic(tmp_path / "a.json"):
        (only,) = tmp_path.iterdir()
        assert TEMPORARY.fullmatch(only.name)
    assert not TEMPORARY.fullmatch(".a.json.123.tmp")


def test_several_read_together_and_none_renames_meanwhile(tmp_path):
    renaming = threading.Event()

    def rename() -> None:
        with one_at_a_time(tmp_path):
            renaming.set()

    with one_at_a_time(tmp_path, shared=True), one_at_a_time(tmp_path, shared=True):
        threading.Thread(target=rename, daemon=True).start()
        assert not renaming.wait(0.1)
    assert renaming.wait(10)


def test_reading_needs_no_folder_and_writes_nothing(tmp_path):
    with one_at_a_time(tmp_path / "missing", shared=True), one_at_a_time(tmp_path, shared=True):
        assert not [*tmp_path.iterdir()]


def test_a_full_drive_leaves_no_lock(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dumps", full)
    with pytest.raises(BadInput, match="No space left"), only_writer(tmp_path):
        pass
    assert not [*tmp_path.iterdir()]


def test_a_drive_without_hard_links_has_locks_too(tmp_path, monkeypatch):
    def unsupported(*_):
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", unsupported)
    with only_writer(tmp_path):
        with pytest.raises(BadInput, match="is being written"), only_writer(tmp_path):
            pass


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="can be written is accepted"), only_writer(tmp_path):
        pass


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="the system does not say which files are open")
def test_the_owner_has_no_file_open_for_writing_which_would_keep_a_drive_busy(tmp_path):
    with only_writer(tmp_path):
        links = {int(link.name): link for link in Path("/proc/self/fd").iterdir()}
        (own,) = [fd for fd, link in links.items() if link.exists() and link.samefile(tmp_path / NAME)]
        assert fcntl.fcntl(own, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def test_a_drive_that_locks_only_what_is_open_for_writing_has_locks_too(tmp_path, monkeypatch):
    flock = fcntl.flock

    def as_nfs_does(file, operation):
        descriptor = file if isinstance(file, int) else file.fileno()
        if operation & fcntl.LOCK_EX and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        flock(file, operation)

    monkeypatch.setattr(fcntl, "flock", as_nfs_does)
    with only_writer(tmp_path):
        # Its process is said to be gone, and it holds the file all the same.
        write_lock(tmp_path, seconds_ago=STALE_SECONDS + 1, began="another process")
        with pytest.raises(BadInput, match="is being written"), only_writer(tmp_path):
            pytest.fail("two writers")

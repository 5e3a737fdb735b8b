"""What surrounds a command: a device that is not there, and few open files."""

import errno
import resource
import threading

import jax
import pytest

from experiments.reproductions.program import COMMAND as REPRODUCE
from resjax.cli import machine, program
from resjax.cli.audit import COMMAND as AUDIT
from resjax.cli.compare import COMMAND as COMPARE
from resjax.cli.machine import allow_open_files
from resjax.cli.predict import COMMAND as PREDICT
from resjax.cli.probe import COMMAND as PROBE
from resjax.cli.program import Command
from resjax.cli.sweep import COMMAND as SWEEP
from resjax.errors import BadInput
from resjax.run.setup import dataset
from tests.commands import require_bad_input, run_in_process

COMPUTING = {
    "compare": (COMPARE, ("--dataset=synthetic",)),
    "sweep": (SWEEP, ("--dataset=synthetic", "--grid=learning_rate=1,2")),
    "probe": (PROBE, ()),
    "predict": (PREDICT, ("--workdir=out", "a.png")),
    "reproduce": (REPRODUCE, ("--target=cifar10",)),
}


@pytest.fixture
def no_backend(monkeypatch, tmp_path):
    """JAX as with a JAX_PLATFORMS that this machine does not have; reading images is a failure of the test."""

    def unknown():
        raise RuntimeError("Unable to initialize backend 'banana': it is not in the list of known backends")

    monkeypatch.setattr(jax, "devices", unknown)
    monkeypatch.setattr(dataset, "open_catalogue", lambda *_, **__: pytest.fail("images were read"))
    monkeypatch.setenv("JAX_PLATFORMS", "banana")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", COMPUTING)
def test_a_backend_that_is_not_there_is_said_before_images_are_read(name, no_backend):
    command, arguments = COMPUTING[name]
    require_bad_input(command, *arguments, "--nocompile_cache", says=("JAX_PLATFORMS=banana",))
    assert not list(no_backend.iterdir())


def test_an_audit_needs_no_backend(monkeypatch, tmp_path):
    monkeypatch.setattr(jax, "devices", lambda: pytest.fail("JAX was asked for a device"))
    monkeypatch.chdir(tmp_path)
    status, _, err = run_in_process(AUDIT, "--dataset=synthetic:60", f"--cache_dir={tmp_path}", "--nonear_copies")
    assert status == 0, err


def test_an_error_without_words_is_a_line_too(monkeypatch, tmp_path):
    def asserts():
        raise AssertionError

    monkeypatch.setattr(jax, "devices", asserts)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.chdir(tmp_path)
    require_bad_input(COMPARE, "--dataset=synthetic", "--nocompile_cache", says=("JAX_PLATFORMS=cuda",))


@pytest.mark.parametrize(
    ("limits", "raised"),
    [
        ((24, 24), None),
        ((24, 4096), 4096),
        ((1024, 524288), machine.MOST_OPEN_FILES),
        ((256, resource.RLIM_INFINITY), machine.MOST_OPEN_FILES),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), None),
        ((64, 64), None),
    ],
)
def test_the_limit_of_open_files_is_raised_or_refused(limits, raised, monkeypatch):
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    monkeypatch.setattr(resource, "setrlimit", lambda _, new: asked.append(new))
    if limits == (24, 24):
        with pytest.raises(BadInput, match="ulimit -n"):
            allow_open_files()
    else:
        allow_open_files()
    assert asked == ([] if raised is None else [(raised, limits[1])])


def test_a_system_that_does_not_let_a_user_raise_the_limit_keeps_it(monkeypatch):
    def refuses(*_):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuses)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    allow_open_files()
    monkeypatch.setattr(resource, "getrlimit", lambda _: (24, 4096))
    with pytest.raises(BadInput, match="24"):
        allow_open_files()


def test_a_thread_that_gets_no_file_ends_the_program_with_a_line(monkeypatch):
    said, left = [], []
    monkeypatch.setattr(program, "say", said.append)
    monkeypatch.setattr(program, "leave", left.append)

    def work(number: int) -> None:
        raise OSError(number, "no", "a.json")

    def main() -> None:
        monkeypatch.setattr(threading, "excepthook", program._thread_hook(lambda ended: left.append("passed on")))
        for number in (errno.EMFILE, errno.ENFILE, errno.ENOENT):
            thread = threading.Thread(target=work, args=(number,))
            thread.start()
            thread.join()

    run_in_process(Command("c", "", main, ()))
    assert left == [1, "passed on", 1, "passed on", "passed on"] and len(said) == 2 and "a.json" in said[0]


def test_an_error_that_came_from_too_few_files_is_known_by_its_cause():
    error = RuntimeError("a checkpoint cannot be written")
    error.__cause__ = OSError(errno.EMFILE, "no")
    assert program._lacks_files(error) and not program._lacks_files(RuntimeError())

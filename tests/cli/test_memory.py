"""How a process that trains gets and keeps memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from resjax.cli import memory
from resjax.cli.memory import SETTING, VARIABLE, offer_of_huge_pages, with_huge_pages

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
STEPS = """
import resource, sys
from pathlib import Path
from resjax.cli import memory
memory.HUGE_PAGES = Path(sys.argv[2])
held = memory.hold_memory() if sys.argv[1] == "hold" else True
def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
def step():
    block = bytearray(200_000_000)
for _ in range(2):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(held, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before, resident() // 1024)
"""


def page_faults_and_mebibytes(how: str, offer: Path) -> tuple[int, int]:
    command = [sys.executable, "-c", STEPS, how, str(offer)]
    held, faults, resident = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    if held == "False":
        pytest.skip("this C library has no such settings")
    return int(faults), int(resident)


def offering(folder: Path, text: str) -> Path:
    path = folder / "enabled"
    path.write_text(text)
    return path


def test_without_huge_pages_a_block_that_was_freed_is_not_asked_of_the_system_again(tmp_path):
    never = offering(tmp_path, "always madvise [never]\n")
    held, default = (page_faults_and_mebibytes(how, never)[0] for how in ("hold", "default"))
    assert held * 10 < default


def test_with_huge_pages_a_large_block_goes_back_to_the_system_when_it_is_freed(tmp_path):
    always = offering(tmp_path, "[always] madvise never\n")
    assert page_faults_and_mebibytes("hold", always)[1] < 150


@pytest.mark.parametrize(
    "offer, before, after",
    [
        ("always [madvise] never", None, f"{SETTING}=1"),
        ("always [madvise] never", "glibc.malloc.check=1", f"glibc.malloc.check=1:{SETTING}=1"),
        ("always [madvise] never", f"{SETTING}=0", f"{SETTING}=0"),
        ("[always] madvise never", None, None),
        ("always madvise [never]", None, None),
    ],
    ids=["nothing set", "something else set", "the user's own", "always", "never"],
)
def test_huge_pages_are_asked_for_where_the_system_waits_to_be_asked(offer, before, after, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "HUGE_PAGES", offering(tmp_path, offer))
    monkeypatch.setattr(memory, "LEAST_GLIBC", (0,))
    given = {"HOME": "/home/someone"} | ({VARIABLE: before} if before else {})
    assert with_huge_pages(given).get(VARIABLE) == after
    assert with_huge_pages(given)["HOME"] == given["HOME"]


RESTARTED = """
import os, sys
from pathlib import Path
from resjax.cli import memory
memory.HUGE_PAGES = Path(sys.argv[1])
memory.begin_with_huge_pages()
print(os.getpid(), sys.argv[2:], os.environ.get("GLIBC_TUNABLES"), sys.executable)
"""


def test_a_process_that_begins_again_has_its_number_arguments_and_interpreter(tmp_path, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(memory, "HUGE_PAGES", offering(tmp_path, "[always] madvise never"))
    if offer_of_huge_pages() == "never":
        pytest.skip("this C library cannot ask for huge pages")
    command = [sys.executable, "-c", RESTARTED, str(offering(tmp_path, "always [madvise] never")), "a b", "--c"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    expected = f"{process.pid} ['a b', '--c'] {SETTING}=1 {sys.executable}\n"
    assert process.communicate()[0] == expected

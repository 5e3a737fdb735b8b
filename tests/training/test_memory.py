"""How a process that trains gets and keeps memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from resjax.training import memory
from resjax.training.memory import OTHERS, SETTING, VARIABLE, offer_of_huge_pages, with_huge_pages

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
STEPS = """
import resource, sys
from pathlib import Path
from resjax.training import memory
held = memory.hold_memory() if sys.argv[1] != "default" else True
if sys.argv[1] == "large":
    memory.after_compiling(memory.LARGE_PROGRAM)
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


def page_faults_and_mebibytes(how: str, **environment: str) -> tuple[int, int]:
    command, variables = [sys.executable, "-c", STEPS, how], {**os.environ, **environment}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=variables)
    held, faults, resident = ended.stdout.split()
    if held == "False":
        pytest.skip("this C library has no such settings")
    return int(faults), int(resident)


def offering(folder: Path, text: str) -> Path:
    path = folder / "enabled"
    path.write_text(text)
    return path


def test_a_block_that_was_freed_is_not_asked_of_the_system_again():
    held, default = (page_faults_and_mebibytes(how)[0] for how in ("hold", "default"))
    assert held * 10 < default


def test_with_huge_pages_the_blocks_of_a_large_program_go_back_to_the_system_when_they_are_freed():
    assert page_faults_and_mebibytes("large", GLIBC_TUNABLES="glibc.malloc.hugetlb=1")[1] < 150
    assert page_faults_and_mebibytes("large", GLIBC_TUNABLES="")[1] > 150


NEW = ":".join((f"{SETTING}=1", *OTHERS))


@pytest.mark.parametrize(
    "offer, before, after",
    [
        ("always [madvise] never", None, NEW),
        ("[always] madvise never", None, NEW),
        ("always [madvise] never", "glibc.malloc.check=1", f"glibc.malloc.check=1:{NEW}"),
        ("always [madvise] never", f"{SETTING}=0", f"{SETTING}=0"),
        ("always madvise [never]", None, None),
    ],
    ids=["who asks", "always", "something else set", "the user's own", "never"],
)
def test_huge_pages_are_asked_for_where_there_are_some(offer, before, after, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "HUGE_PAGES", offering(tmp_path, offer))
    monkeypatch.setattr(memory, "LEAST_GLIBC", (0,))
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("glibc", "2.36"))
    given = {"HOME": "/home/someone"} | ({VARIABLE: before} if before else {})
    assert with_huge_pages(given).get(VARIABLE) == after
    assert with_huge_pages(given)["HOME"] == given["HOME"]


RESTARTED = """
import os, sys
from pathlib import Path
from resjax.training import memory
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
    expected = f"{process.pid} ['a b', '--c'] {NEW} {sys.executable}\n"
    assert process.communicate()[0] == expected

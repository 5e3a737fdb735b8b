"""How a process that trains gets and keeps memory, on Linux with glibc.

XLA:CPU asks for a step's memory anew at every step, one block of up to a gigabyte. By default glibc returns such a
block to the system, which then hands out every page again, zeroed: up to a quarter of a step's time. So:

* Freed memory stays with the process. Short steps are queued, so two or three blocks of it are in use in turn.
* It has huge pages (2 MiB), where the system gives them to who asks: they are found faster.
* A program with a very large block gives it back to the system all the same. Then there is one at a time, and with huge
  pages handing it out takes a few hundredths of such a step.

glibc reads its settings only when a process starts, so a command that trains starts itself again (`os.execve`) where
the system has huge pages.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
VARIABLE, SETTING = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
OTHERS = ("glibc.malloc.tcache_count=0",)
"""Threads keep no small pieces for themselves, such as the few bytes beside a block that make it too small for the next
one. The settings are read when a process starts:
https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html"""
LEAST_GLIBC = (2, 35)
"""The first version with the setting."""
LARGE_PROGRAM = 512 * 2**20
"""Bytes of temporary memory of a program whose blocks go back to the system."""
LARGE_BLOCK = 32 * 2**20
"""Bytes of a block that goes back then; glibc allows no larger limit."""
# mallopt's parameters, from glibc's malloc.h.
M_MXFAST, M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = 1, -1, -3, -4, -8
MOST_MAPPED = 65536
"""glibc's own default of M_MMAP_MAX."""


def begin_with_huge_pages() -> None:
    """Starts this process again, with the same number, if glibc would not ask for huge pages and could.

    Call it first of all, and only in a process of one's own: nothing that was done before is kept. It does nothing
    where the program was given other arguments than the process.
    """
    environment, given = with_huge_pages(os.environ), sys.argv[1:]
    is_own = sys.orig_argv[len(sys.orig_argv) - len(given) :] == given
    if environment == os.environ or not sys.executable or not is_own:
        return
    # Where it cannot be started again, it goes on as it is.
    with suppress(OSError):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def with_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a new process has huge pages; the same where there are none.

    A user's own setting of them stays.
    """
    given = environment.get(VARIABLE, "")
    if offer_of_huge_pages() == "never" or SETTING in given:
        return dict(environment)
    return {**environment, VARIABLE: ":".join(filter(None, [given, f"{SETTING}=1", *OTHERS]))}


def hold_memory() -> bool:
    """Has this process keep the memory that it frees; whether there is a glibc to tell.

    For programs that train, early in `main`, and not for a library to do on import: threads that run already keep
    their memory.
    """
    return _mallopt((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_MXFAST, 0))


def after_compiling(temporary_bytes: int) -> None:
    """Returns what compiling freed to the system, 100 to 200 MiB, and chooses what becomes of a program's memory."""
    if sys.platform.startswith("linux") and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
        trim(ctypes.c_size_t(0))
    if temporary_bytes >= LARGE_PROGRAM and f"{SETTING}=1" in os.environ.get(VARIABLE, ""):
        _mallopt((M_MMAP_MAX, MOST_MAPPED), (M_MMAP_THRESHOLD, LARGE_BLOCK))


def _mallopt(*settings: tuple[int, int]) -> bool:
    mallopt: Any = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    return mallopt is not None and all([mallopt(*setting) for setting in settings])


def offer_of_huge_pages() -> str:
    """How the system hands out huge pages: `always`, `madvise` (to who asks) or `never`."""
    name, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if name != "glibc" or numbers < LEAST_GLIBC:
        return "never"
    with suppress(OSError):
        return HUGE_PAGES.read_text().partition("[")[2].partition("]")[0]
    return "never"

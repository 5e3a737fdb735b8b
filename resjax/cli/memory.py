"""How a process that trains gets and keeps memory, on Linux with glibc.

XLA:CPU asks for a step's memory anew at every step, one block of up to a gigabyte. By default glibc returns such a
block to the system, which then hands out every page again, zeroed: up to a quarter of a step's time. Two ways are
better:

* Huge pages, of 2 MiB, where the system has them: handing them out takes one or two hundredths of a step.
* Freed memory that stays with the process. It is as fast, but a block that was freed is often a few bytes too small for
  the next one, so the process grows by one to four of them.
"""

import ctypes
import os
import platform
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
VARIABLE, SETTING = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
"""https://sourceware.org/glibc/manual/latest/html_node/Memory-Allocation-Tunables.html; read when a process starts."""
LEAST_GLIBC = (2, 35)
"""The first version with the setting."""
LARGE = 32 * 2**20
"""Bytes of a block that goes back to the system when it is freed; glibc allows no larger limit."""
# mallopt's parameters, from glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -3, -4, -8


def begin_with_huge_pages() -> None:
    """Starts this process again, with the same number, if glibc would not ask for huge pages and could.

    Call it first of all, and only in a process of one's own: nothing that was done before is kept.
    """
    environment = with_huge_pages(os.environ)
    if environment == os.environ or not sys.executable:
        return
    # Where it cannot be started again, it goes on as it is.
    with suppress(OSError):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def with_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which a new process asks for huge pages; the same if the system does not wait to be asked.

    A setting that is there already stays.
    """
    given = environment.get(VARIABLE, "")
    if offer_of_huge_pages() != "madvise" or SETTING in given:
        return dict(environment)
    return {**environment, VARIABLE: ":".join(filter(None, [given, f"{SETTING}=1"]))}


def hold_memory() -> bool:
    """Chooses how this process gets and keeps memory; whether there is a glibc to tell.

    For programs that train, early in `main`, and not for a library to do on import: threads that run already keep
    their memory.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    offer, asked = offer_of_huge_pages(), f"{SETTING}=1" in os.environ.get(VARIABLE, "")
    has_huge_pages = offer == "always" or offer == "madvise" and asked
    large = (M_MMAP_THRESHOLD, LARGE) if has_huge_pages else (M_MMAP_MAX, 0)
    return all([mallopt(M_ARENA_MAX, 1), mallopt(*large), mallopt(M_TRIM_THRESHOLD, -1)])


def offer_of_huge_pages() -> str:
    """How the system hands out huge pages: `always`, `madvise` (to who asks) or `never`."""
    name, version = platform.libc_ver()
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if name != "glibc" or numbers < LEAST_GLIBC:
        return "never"
    with suppress(OSError):
        return HUGE_PAGES.read_text().partition("[")[2].partition("]")[0]
    return "never"

"""How a process on a CPU holds the memory that it has freed."""

import ctypes
import sys

# mallopt's parameters, from glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> bool:
    """Tells glibc to keep freed memory for what is allocated next; whether there was a glibc to tell.

    XLA:CPU asks for a step's temporary memory anew at every step, hundreds of MB, and glibc gives blocks of that size
    back to the system, which hands out every page again, zeroed: up to a fifth of a step's time. With one arena, and no
    blocks mapped by themselves, freed memory stays. The process stays as large as it once was, so this is for programs
    that train, early in `main`, and not for a library to do on import: threads that run already keep their arenas.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return all([mallopt(M_ARENA_MAX, 1), mallopt(M_MMAP_MAX, 0), mallopt(M_TRIM_THRESHOLD, -1)])

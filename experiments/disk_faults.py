"""What to say where a disk is full, or a folder can no longer be read or written."""

import errno
import logging as standard_logging
import sys

from absl import logging

from resjax.training.orbax_errors import is_late_orbax_error, silence_late_orbax_errors

DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOTDIR),
    *(errno.ESTALE, errno.ENOENT, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE),
}
"""What the system answers where the disk, the drive or a folder is the cause, and not resjax."""


def disk_fault(error: OSError) -> str | None:
    """One line for the user; None for an error that is not the disk's, and may be resjax's own.

    Every record is whole or not there, so that what was complete stays.
    """
    # resjax's own errors of this kind, such as CheckpointError, have a line and no number.
    own = error.errno is None and type(error) is not OSError
    if not own and error.errno not in DISK:
        return None
    said = str(error) if own or error.filename is None else f"{error.filename}: {error.strerror}"
    return f"{' '.join(said.split())}; what was complete is kept, and the same command goes on once this is repaired"


def leave_out_repeated_errors() -> None:
    """Has orbax's threads log no traceback of an error that reaches the program, and is said there in one line."""
    asyncio = standard_logging.getLogger("asyncio")
    asyncio.addFilter(lambda record: "exception was never retrieved" not in record.getMessage())
    silence_late_orbax_errors()
    excepthook = sys.excepthook
    sys.excepthook = lambda kind, error, trace: None if is_late_orbax_error(error) else excepthook(kind, error, trace)
    logging.get_absl_logger().addFilter(lambda record: not (record.exc_info and "orbax" in record.pathname))

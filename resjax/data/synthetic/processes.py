"""Draws pictures in a process for each reading thread, because small drawing operations hold Python's lock.

A thread's process is started when the thread asks for its first picture, and ends with the thread. It is not
`multiprocessing`'s, which would import the caller's script once more.
"""

import struct
import subprocess
import sys
import threading
import weakref
from contextlib import suppress
from typing import IO

from resjax.data.synthetic.source import Drawing, png_bytes

FEWEST = 200
"""Pictures of a set from which on processes are worth it: starting one takes as long as drawing about 30."""
MOST = 16
"""Processes at a time, roughly: each needs about 60 MB."""
ORDER, LENGTH = struct.Struct("<qqq"), struct.Struct("<q")
"""Label, seed and size of a picture; the length of its PNG file in bytes."""
PROGRAM = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.path[:] = {path!r}; "
    "from resjax.data.synthetic.processes import serve; serve(sys.stdin.buffer, sys.stdout.buffer)"
)
"""Ctrl-C is for the process that reads the pictures. The others end when their input does."""


class DrawingProcess:
    """A process that draws one picture at a time. It ends when this object is deleted.

    Raises:
      OSError: if it cannot be started.
    """

    def __init__(self) -> None:
        program = PROGRAM.format(path=[str(folder) for folder in sys.path])
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        weakref.finalize(self, _end, self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def png_bytes(self, drawing: Drawing, size: int) -> bytes:
        """As `source.png_bytes`; raises OSError if the process has ended."""
        orders, pictures = self._process.stdin, self._process.stdout
        assert orders is not None and pictures is not None
        orders.write(ORDER.pack(drawing.label, drawing.seed, size))
        orders.flush()
        head = pictures.read(LENGTH.size)
        length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 0
        data = pictures.read(length)
        if not data or len(data) < length:
            raise ChildProcessError("a process that draws has ended")
        return data


_own = threading.local()
_running = weakref.WeakSet[DrawingProcess]()


def drawn_elsewhere(drawing: Drawing, size: int) -> bytes:
    """As `source.png_bytes`, by the process of the calling thread; the main thread draws by itself.

    Without processes, because they are not allowed or were killed, other threads draw by themselves too.
    """
    if threading.current_thread() is threading.main_thread():
        return png_bytes(drawing, size)
    try:
        if not hasattr(_own, "process"):
            _own.process = None
            if len(_running) < MOST:
                _own.process = DrawingProcess()
                _running.add(_own.process)
        if _own.process is not None:
            return _own.process.png_bytes(drawing, size)
    except OSError:
        _own.process = None
    return png_bytes(drawing, size)


def serve(orders: IO[bytes], pictures: IO[bytes]) -> None:
    """Draws what is ordered until the orders end."""
    while len(order := orders.read(ORDER.size)) == ORDER.size:
        label, seed, size = ORDER.unpack(order)
        data = png_bytes(Drawing("", label, seed), size)
        pictures.write(LENGTH.pack(len(data)) + data)
        pictures.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    # An order that could not be sent is sent again when the pipe is closed.
    with suppress(OSError), process:
        process.kill()

"""The command line: flags, the frame of a program, one module a command, and the console command `resjax`."""

import sys

_excepthook = sys.excepthook
# Ctrl-C while modules are imported, before a command listens for it: a word, and no traceback.
sys.excepthook = lambda kind, error, trace: (
    print("\nstopped", file=sys.stderr) if kind is KeyboardInterrupt else _excepthook(kind, error, trace)
)

"""Why the shortcut helps, or does not: measures what is usually asserted, on the checkpoints of a finished comparison.

python -m experiments.probe --help
"""

from resjax.cli.probe import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

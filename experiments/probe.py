"""Why does the shortcut help, or why does it not? Measures the usual explanations on a finished comparison.

python -m experiments.probe --workdir=runs/quickstart
python -m experiments.probe --help
"""

from resjax.cli.probe import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

"""The same comparison at every point of a grid: learning rates, decays, batch sizes, widths, depths, less data.

python -m experiments.sweep --help
"""

from resjax.cli.program import run_command
from resjax.cli.sweep import COMMAND

if __name__ == "__main__":
    run_command(COMMAND)

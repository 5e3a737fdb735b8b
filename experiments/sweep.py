"""Does the answer change with learning rate, depth, width or less data? The same comparison at each point of a grid.

python -m experiments.sweep --flagfile=experiments/flags/sweep_demo.flags
python -m experiments.sweep --help
"""

from resjax.cli.program import run_command
from resjax.cli.sweep import COMMAND

if __name__ == "__main__":
    run_command(COMMAND)

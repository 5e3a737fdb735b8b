"""What does a finished comparison say? Makes its report again from its records, without images or jax.

python -m experiments.report --workdir=runs/quickstart
python -m experiments.report --help
"""

from resjax.cli.program import run_command
from resjax.cli.report import COMMAND

if __name__ == "__main__":
    run_command(COMMAND)

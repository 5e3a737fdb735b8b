"""The report of a comparison, from its records alone: needs neither the images nor jax.

python -m experiments.report --help
"""

from resjax.cli.program import run_command
from resjax.cli.report import COMMAND

if __name__ == "__main__":
    run_command(COMMAND)

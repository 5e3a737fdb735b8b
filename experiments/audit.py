"""What is in these images? Copies and near-copies, labels that contradict each other, odd files, expected leaks.

python -m experiments.audit --help
"""

from resjax.cli.audit import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

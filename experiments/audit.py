"""What is in these images? Duplicates, contradicting labels, unreadable files, and the leaks to expect from a split.

python -m experiments.audit --dataset=csv:train.csv --workdir=runs/audit
python -m experiments.audit --help
"""

from resjax.cli.audit import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

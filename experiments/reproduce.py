"""Do published results come out again? Runs a published recipe over seeds and sets its numbers beside ours.

python -m experiments.reproduce --flagfile=experiments/flags/reproduce_cifar10.flags
python -m experiments.reproduce --flagfile=experiments/flags/reproduce_first_exercise.flags --quick
python -m experiments.reproduce --help
"""

from experiments.reproductions.program import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

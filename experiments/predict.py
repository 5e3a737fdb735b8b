"""What do these images show? Classifies files and folders with the networks of a finished comparison, or exports them.

python -m experiments.predict --help
"""

from resjax.cli.predict import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

"""Does the shortcut help on these images? Trains every arm over several seeds and writes down what came out.

python -m experiments.compare --help
"""

from resjax.cli.compare import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

"""What do these images show? Classifies them with the networks of a finished comparison, or exports a network.

python -m experiments.predict --workdir=runs/quickstart photo.jpg
python -m experiments.predict --help
"""

from resjax.cli.predict import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

"""Does the shortcut help on these images, by how much, and is that more than chance?

python -m experiments.compare --flagfile=experiments/flags/quickstart.flags
python -m experiments.compare --dataset=folder:my_images --architectures=plain34,resnet34 --seeds=6
python -m experiments.compare --help
"""

from resjax.cli.compare import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

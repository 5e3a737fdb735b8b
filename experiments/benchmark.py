"""How fast is training next to PyTorch, for the same networks, sizes and batches, measured in one run?

python -m experiments.benchmark --architectures=plain34,resnet34 --image_size=64 --batch_size=24
python -m experiments.benchmark --help
"""

from experiments.benchmarks.program import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

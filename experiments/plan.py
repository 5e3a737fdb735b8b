"""How many seeds show which difference on these images? A table and a picture, before anything is trained.

python -m experiments.plan --dataset=folder:my_images --workdir=runs/plan
python -m experiments.plan --help
"""

from resjax.cli.plan import COMMAND
from resjax.cli.program import run_command

if __name__ == "__main__":
    run_command(COMMAND)

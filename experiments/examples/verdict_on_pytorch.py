"""The verdict on networks that PyTorch trained: from the logits that its evaluation loop saved, without JAX.

  python -m experiments.examples.verdict_on_pytorch --help

In PyTorch, for each network and seed, with the images of every seed in the same order:

  logits = torch.cat([network(images.to(device)).cpu() for images, _ in loader])
  np.savez(f"{name}_seed{seed}.npz", logits=logits.numpy(), labels=labels.numpy())
"""

import argparse
from pathlib import Path

import numpy as np

import resjax


def saved(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The logits (seed, image, class) and labels (image,) of a network's files, in the order of the seeds' numbers."""
    files = sorted(folder.glob(f"{name}_seed*.npz"), key=lambda file: int(file.stem.rpartition("_seed")[2]))
    runs = [np.load(file, allow_pickle=False) for file in files]
    if any((run["labels"] != runs[0]["labels"]).any() for run in runs):
        raise resjax.BadInput(f"{name}: expected the same images in the same order from every seed")
    return np.stack([run["logits"] for run in runs]), runs[0]["labels"]


def main(folder: Path, baseline: str, candidate: str, margin: float = 0.01) -> resjax.ComparisonResult:
    """Judges two networks by what they saved in a folder; prints the sentence and draws `verdict.png` beside them."""
    (one, labels), (other, _) = saved(folder, baseline), saved(folder, candidate)
    found = resjax.verdict(one, other, labels=labels, margin=margin, names=(baseline, candidate))
    print(found)
    print(f"log loss: {resjax.verdict(one, other, labels=labels, metric='log_loss', names=(baseline, candidate))}")
    found.draw(folder / "verdict.png")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the .npz files")
    parser.add_argument("baseline", help="name of the network that is compared with, as the files begin")
    parser.add_argument("candidate", help="name of the network that may be better")
    parser.add_argument(
        "--margin", type=float, default=0.01, help="smaller differences count as equal; 0.01 is a point"
    )
    main(**vars(parser.parse_args()))

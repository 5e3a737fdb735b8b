"""Writes golden.json, torch's numbers for the parity tests: `python -m tests.golden.make_golden` (needs torch)."""

import json
from pathlib import Path

import numpy as np
import torch

from experiments.benchmarks.pytorch.networks import TorchNetwork
from resjax.functional import Functional
from tests.golden.reference import (
    CASES,
    CLASSES,
    MOMENTUM,
    STEPS,
    digest,
    images_and_labels,
    learning_rate,
    torch_shapes,
    torch_weights,
)

LISTED = ("logits", "eval_logits", "loss")
"""What is kept number by number; of the rest each array's digest."""


def torch_results(name: str, dtype: torch.dtype = torch.float64) -> dict[str, dict[str, np.ndarray] | np.ndarray]:
    """Logits in both modes, loss, all gradients, the running statistics after one step in training mode and after
    several steps of SGD, and each stage's activations in evaluation mode (in our layout)."""
    architecture, size = CASES[name]
    network = TorchNetwork(architecture, CLASSES).to(dtype)
    weights = torch_weights(torch_shapes(Functional(architecture, CLASSES)))
    state = {key: torch.tensor(value) for key, value in weights.items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing), (missing, unexpected)
    images, labels = images_and_labels(size)
    # Contiguous NCHW: torch 2.13 corrupts memory on narrow channels_last 1x1 convolutions with stride 2.
    images = torch.tensor(images, dtype=dtype).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        stages = network.eval().features(images)
        eval_logits = network(images)
    optimizer = torch.optim.SGD(network.train().parameters(), learning_rate(name), MOMENTUM)
    for step in range(STEPS):
        optimizer.zero_grad()
        logits = network(images)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
        loss.backward()
        if step == 0:
            results = {
                "eval_logits": eval_logits.numpy(),
                "logits": logits.detach().numpy(),
                "loss": loss.detach().numpy(),
                "gradients": {key: parameter.grad.clone().numpy() for key, parameter in network.named_parameters()},
                "statistics": _statistics(network),
                "stages": {str(stage): out.permute(0, 2, 3, 1).numpy() for stage, out in enumerate(stages)},
            }
        optimizer.step()
    return results | {"trained_statistics": _statistics(network)}


def _statistics(network: TorchNetwork) -> dict[str, np.ndarray]:
    return {key: buffer.clone().numpy() for key, buffer in network.named_buffers() if "running" in key}


def main() -> None:
    golden = {}
    for name in CASES:
        results = torch_results(name)
        golden[name] = {key: results[key].tolist() for key in LISTED}
        for kind in results.keys() - set(LISTED):
            golden[name][kind] = {key: digest(key, array) for key, array in results[kind].items()}
    rounded = json.loads(json.dumps(golden, sort_keys=True), parse_float=lambda text: float(f"{float(text):.10g}"))
    # One case a line: the numbers are for the tests, not for reading.
    cases = ",\n".join(f"{json.dumps(name)}: {json.dumps(case)}" for name, case in rounded.items())
    Path(__file__).with_name("golden.json").write_text(f"{{\n{cases}\n}}\n")


if __name__ == "__main__":
    main()

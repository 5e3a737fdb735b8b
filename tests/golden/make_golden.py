"""Writes golden.json, torch's numbers for the parity tests: `python -m tests.golden.make_golden` (needs torch)."""

import json
from pathlib import Path

import numpy as np
import torch

from experiments.torch_networks import TorchNetwork
from resjax.functional import Functional
from tests.golden.reference import CASES, CLASSES, digest, images_and_labels, torch_shapes, torch_weights


def torch_results(name: str, dtype: torch.dtype = torch.float64) -> dict[str, dict[str, np.ndarray] | np.ndarray]:
    """Logits in both modes, loss, all gradients, and the running statistics after one step in training mode."""
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
        eval_logits = network.eval()(images)
    logits = network.train()(images)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
    loss.backward()
    return {
        "eval_logits": eval_logits.numpy(),
        "logits": logits.detach().numpy(),
        "loss": loss.detach().numpy(),
        "gradients": {key: parameter.grad.numpy() for key, parameter in network.named_parameters()},
        "statistics": {key: buffer.numpy() for key, buffer in network.named_buffers() if "running" in key},
    }


def main() -> None:
    golden = {}
    for name in CASES:
        results = torch_results(name)
        golden[name] = {key: results[key].tolist() for key in ("eval_logits", "logits", "loss")}
        for kind in ("gradients", "statistics"):
            golden[name][kind] = {key: digest(key, array) for key, array in results[kind].items()}
    rounded = json.loads(json.dumps(golden), parse_float=lambda text: float(f"{float(text):.10g}"))
    Path(__file__).with_name("golden.json").write_text(json.dumps(rounded, indent=0) + "\n")


if __name__ == "__main__":
    main()

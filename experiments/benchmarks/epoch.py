"""`benchmark --measure=epoch`: an epoch with augmentation and evaluation on images in memory, next to PyTorch's."""

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np

from experiments.benchmarks import torch_side
from experiments.benchmarks.cases import CLASSES, RECIPE, Case, Device, case_record, compared, random_images, versions
from experiments.benchmarks.contenders import Contender, Program, Worker, contest
from experiments.benchmarks.train_step import our_peak_bytes
from resjax.data.augmentation import parse_augmentation
from resjax.data.pipeline import ResidentSide
from resjax.functional import Functional
from resjax.training.loop import Trainer
from resjax.training.step import EVALUATION_BATCH, predict_logits

AUGMENT = "flip,rotate:15,color:0.2,0.2,0.2,0.1"
IMAGES = 1166
"""As many as the first exercise has; a fifth of them is val."""
CAVEAT = (
    "Training images by the seconds of an epoch with its evaluation, all on the device as uint8; neither reading nor "
    "writing is in it, and the pixels are random."
)


def memory_images(images: int, image_size: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Pixels and labels of train and of val."""
    val = max(1, images // 5)
    return random_images(images - val, image_size, seed=1), random_images(val, image_size, seed=2)


def our_epochs(case: Case, images: int) -> Program:
    """Epochs of `Trainer`, each followed by the logits of val, as in a comparison."""
    train, val = (ResidentSide(*arrays) for arrays in memory_images(images, case.image_size))
    recipe = replace(RECIPE, batch_size=case.batch_size, augmentations=parse_augmentation(AUGMENT))
    functional = Functional(case.architecture, CLASSES, case.dtype)
    trainer = Trainer(functional, recipe, train, val)
    state, epoch = trainer.initial_state(0), 0

    def run(epochs: int) -> None:
        nonlocal state, epoch
        for _ in range(epochs):
            epoch += 1
            state, _ = trainer.run_epoch(state, epoch)
            predict_logits(functional, state.variables, val)
        jax.block_until_ready(state)

    return Program(run, lambda: {"peak_bytes": our_peak_bytes()})


def torch_epochs(case: Case, images: int, mode: str, platform: str) -> Program:
    """The same in PyTorch: batches gathered on the device and augmented there, logits of val under inference mode."""
    device = torch_side.prepare(platform)
    import torch

    from experiments.benchmarks.torch_augmentation import augmented

    training = torch_side.TorchTraining(case, mode, device)
    (pixels, targets), (val_pixels, _) = (training.on_device(*side) for side in memory_images(images, case.image_size))

    def run(epochs: int) -> None:
        for _ in range(epochs):
            training.network.train()
            for rows in torch.randperm(len(pixels), device=device).split(case.batch_size):
                batch = augmented(pixels[rows].float() / 255).contiguous(memory_format=training.layout)
                training.step(training.standardize(batch), targets[rows])
            training.network.eval()
            with torch.inference_mode():
                for part in val_pixels.split(EVALUATION_BATCH):
                    training.logits(training.standardize(part.float() / 255)).cpu()
        training.wait()

    return Program(run, lambda: {"peak_bytes": training.peak_bytes()})


def epoch_row(
    case: Case,
    images: int,
    device: Device,
    torch_modes: tuple[str, ...],
    samples: int,
    open_contender: Callable[..., Contender] = Worker,
) -> dict:
    """Measures an epoch a sample; the rest is as in `train_step_row`."""
    programs = {"ours": (our_epochs, case, images)} | {
        mode: (torch_epochs, case, images, mode, device.platform) for mode in torch_modes
    }
    rates, failures, descriptions = contest(programs, samples, 0.0, open_contender)
    train = images - max(1, images // 5)
    seen = {name: [train * rate for rate in values] for name, values in rates.items()}
    row = case_record(case, "epoch") | {"images": images, "augment": AUGMENT, "device": device.name} | compared(seen)
    return row | {
        "versions": versions("jax", "jaxlib", "flax", *(("torch",) if torch_modes else ())),
        "samples": seen,
        "peak_bytes": {name: each["peak_bytes"] for name, each in descriptions.items() if each},
        "failed": failures,
    }

"""`--measure=epoch`: an epoch with augmentation and evaluation on images in memory, next to PyTorch's."""

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np

from resjax.data.augmentation import parse_augmentation
from resjax.data.pipeline import ResidentSide
from resjax.functional import Functional
from resjax.training.loop import Trainer
from resjax.training.step import EVALUATION_BATCH, predict_logits

from .harness.cases import AUGMENT, CLASSES, RECIPE, Case, random_images
from .harness.contenders import Contender, Program, Worker, contest
from .harness.machine import Device
from .harness.rows import EpochRow, case_fields, describe_case, describe_memory, describe_samples, medians_of, versions
from .pytorch import training as pytorch
from .train_step import our_peak_bytes

CAVEAT = (
    "These are training images per second of an epoch with its evaluation, all on the device as uint8. Reading and "
    "writing are not included, and the pixels are random."
)


def memory_images(images: int, image_size: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Pixels and labels of train and of val, which is a fifth of the images."""
    val = max(1, images // 5)
    return random_images(images - val, image_size, seed=1), random_images(val, image_size, seed=2)


def our_epochs(case: Case, images: int, scan: bool | None = None) -> Program:
    """Epochs of `Trainer`, each followed by the logits of val, as in a comparison; `scan` as `Trainer` takes it."""
    train, val = (ResidentSide(*arrays) for arrays in memory_images(images, case.image_size))
    recipe = replace(RECIPE, batch_size=case.batch_size, augmentations=parse_augmentation(AUGMENT))
    functional = Functional(case.architecture, CLASSES, case.dtype)
    trainer = Trainer(functional, recipe, train, val, scan=scan)
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
    device = pytorch.prepare(platform)
    import torch

    from .pytorch.augmentation import augmented

    training = pytorch.TorchTraining(case, mode, device)
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
) -> EpochRow:
    """Measures an epoch per sample; the rest is as in `train_step_row`."""
    programs = {"ours": (our_epochs, case, images)} | {
        mode: (torch_epochs, case, images, mode, device.platform) for mode in torch_modes
    }
    rates, failures, descriptions = contest(programs, samples, 0.0, open_contender)
    train = images - max(1, images // 5)
    seen = {name: [train * rate for rate in values] for name, values in rates.items()}
    return EpochRow(
        **case_fields(case, "epoch"),
        images=images,
        augment=AUGMENT,
        device=device.name,
        **medians_of(seen)._asdict(),
        versions=versions("jax", "jaxlib", "flax", *(("torch",) if torch_modes else ())),
        samples=seen,
        peak_bytes={name: each["peak_bytes"] for name, each in descriptions.items() if each},
        failed=failures,
    )


def describe_epoch(row: EpochRow) -> str:
    """A row in words, with the lowest and the highest sample of each side."""
    return f"{describe_case(row)}: {describe_samples(row)}{describe_memory(row)}"

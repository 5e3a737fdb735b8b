"""PyTorch's train step at its best speed, in each of its modes, and the cases that PyTorch cannot do."""

import importlib.util
import os

import numpy as np

from resjax.errors import BadInput
from resjax.training.recipe import require_choice

from ..harness.cases import CLASSES, RECIPE, Case, random_images
from ..harness.contenders import Program, peak_resident_bytes
from ..harness.machine import Device

MODES = ("eager", "channels_last", "compile", "compile_graphs")
"""`eager` (NCHW), `channels_last`, `compile` (channels_last under torch.compile), `compile_graphs` (that with
mode="reduce-overhead": CUDA graphs)."""


def parse_modes(against: str, text: str) -> tuple[str, ...]:
    """The modes of PyTorch to measure; none with `--against=none`.

    Raises:
      BadInput: for an unknown mode, or if torch is not installed.
    """
    if against == "none":
        return ()
    modes = tuple(mode.strip() for mode in text.split(","))
    for mode in modes:
        require_choice("--torch_modes", mode, MODES)
    if importlib.util.find_spec("torch") is None:
        raise BadInput(
            "--against=torch: torch is not installed; pip install -e '.[benchmark]' installs it, --against=none "
            "measures ours alone"
        )
    return modes


def require_modes(device: Device, cases: list[Case], modes: tuple[str, ...]) -> None:
    """Refuses cases that torch cannot do on the device of JAX, and cases in which it writes past its memory.

    The latter is oneDNN's gradient of a 1x1 convolution with stride 2 in channels_last with fewer than 16 channels
    (https://github.com/uxlfoundation/oneDNN/issues/6035).

    Raises:
      BadInput: for such modes or cases.
    """
    if modes and device.platform not in ("cpu", "gpu"):
        raise BadInput(
            f"--against=torch: torch cannot use the device of JAX ({device.platform}); --against=none measures ours "
            "alone, JAX_PLATFORMS=cpu measures both on the CPU"
        )
    for case in cases if device.platform == "cpu" and set(modes) - {"eager"} else []:
        if case.architecture.shortcut.startswith("project") and case.architecture.width < 16:
            raise BadInput(
                f"--torch_modes={','.join(modes)}: channels_last of torch can crash on the CPU below width 16 "
                f"({case.architecture.name}, width {case.architecture.width}); expected --torch_modes=eager"
            )


def prepare(platform: str) -> str:
    """Sets torch up for its best speed in this process and returns its device.

    Raises:
      BadInput: if JAX has a GPU and torch has none.
    """
    import torch

    torch.set_num_threads(os.cpu_count() or 1)
    torch.set_flush_denormal(True)
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    if platform == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise BadInput(
            "--against=torch: torch sees no GPU and JAX does; --against=none measures ours alone, JAX_PLATFORMS=cpu "
            "measures both on the CPU"
        )
    # TensorFloat-32, which XLA uses for float32, too.
    torch.set_float32_matmul_precision("high")
    return "cuda"


class TorchTraining:
    """A network with its optimizer, in one of `MODES`. Adam is the fused one, PyTorch's fastest."""

    def __init__(self, case: Case, mode: str, device: str, classes: int = CLASSES):
        import torch

        # They import torch and jax, which --help does without.
        from resjax.data.augmentation import IMAGENET_MEAN, IMAGENET_STD

        from .networks import TorchNetwork

        self._torch, self.device, self._dtype = torch, device, case.dtype
        self.layout = torch.contiguous_format if mode == "eager" else torch.channels_last
        self.network = TorchNetwork(case.architecture, classes).to(device, memory_format=self.layout)
        compile_mode = {"compile": None, "compile_graphs": "reduce-overhead"}
        self.forward = torch.compile(self.network, mode=compile_mode[mode]) if mode in compile_mode else self.network
        self.optimizer = torch.optim.Adam(
            self.network.parameters(), lr=RECIPE.learning_rate, weight_decay=RECIPE.weight_decay, fused=True
        )
        self._mean, self._deviation = (
            torch.tensor(values, device=device).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD)
        )

    def on_device(self, pixels: np.ndarray, labels: np.ndarray):
        """The pixels (image, 3, height, width) in uint8 in the mode's layout, and the labels."""
        images, targets = (self._torch.from_numpy(array).to(self.device) for array in (pixels, labels))
        return images.permute(0, 3, 1, 2).contiguous(memory_format=self.layout), targets.long()

    def standardize(self, images):
        """As `resjax.data.augmentation.standardize`, of floats from 0 to 1."""
        return (images - self._mean) / self._deviation

    def logits(self, images):
        """Of standardized images, in float32."""
        with self._torch.autocast(self.device, self._torch.bfloat16, enabled=self._dtype == "bfloat16"):
            return self.forward(images).float()

    def step(self, images, targets):
        """A train step on standardized images; returns the loss, on the device."""
        loss = self._torch.nn.functional.cross_entropy(self.logits(images), targets)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def wait(self) -> None:
        """Returns when the device has finished everything."""
        if self.device == "cuda":
            self._torch.cuda.synchronize()

    def peak_bytes(self) -> int:
        """The peak memory: of tensors on a GPU, of the whole process on a CPU."""
        return self._torch.cuda.max_memory_allocated() if self.device == "cuda" else peak_resident_bytes()


def train_steps(case: Case, mode: str, platform: str) -> Program:
    """Train steps of PyTorch on one batch on its device."""
    training = TorchTraining(case, mode, prepare(platform))
    pixels, targets = training.on_device(*random_images(case.batch_size, case.image_size))

    def run(steps: int) -> None:
        for _ in range(steps):
            training.step(training.standardize(pixels.float() / 255), targets)
        training.wait()

    return Program(run, lambda: {"peak_bytes": training.peak_bytes()})

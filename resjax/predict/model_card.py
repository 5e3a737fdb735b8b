"""The model card of an exported network, in the form of the Hugging Face hub: made from records, names escaped."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from resjax.records import ExportConfig, Summary, TemperatureScaling
from resjax.report.cautions import leak_warning, limits
from resjax.report.majority import majority_sentence

RECIPE = (
    *("epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "warmup_epochs", "augment"),
    *("mixup", "cutmix", "label_smoothing", "class_weights", "clip_norm", "ema_decay", "freeze"),
)
"""The flags of the recipe that the card shows; all flags are in the run's config.flags."""
WORDS = {"val": "validation", "test": "test"}


def model_card(config: ExportConfig, summary: Summary) -> str:
    """The card as Markdown with a head in YAML, from `config.json` and the run's summary."""
    parts = [_head(config), _what(config), _data(config, summary), _accuracy(config, summary)]
    parts += [_calibration(config.calibration), _limits(config, summary), _loading(config)]
    return "\n\n".join(parts) + "\n"


def _head(config: ExportConfig) -> str:
    import yaml

    head: dict[str, Any] = {
        "library_name": "resjax",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "jax", "flax", "resnet", config.architecture],
    }
    if scores := config.scores:
        side = WORDS[scores.side]
        metric = {"type": "accuracy", "value": round(scores.accuracy, 4), "name": f"{side} accuracy"}
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"name": config.dataset.name, "type": "imagefolder", "split": side},
            "metrics": [metric],
        }
        head["model-index"] = [{"name": config.architecture, "results": [result]}]
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---"


def _what(config: ExportConfig) -> str:
    seeds = config.seeds
    many = len(seeds) > 1
    who = f"An ensemble of {len(seeds)} networks (seeds {', '.join(map(str, seeds))})" if many else "A network"
    each = " each" if many else ""
    pooled = "; their probabilities are averaged" if many else ""
    stem = "7x7 convolution of stride 2 and max pool" if config.stem == "imagenet" else "3x3 convolution"
    return "\n".join(
        [
            f"# {text(config.architecture)} on {text(config.dataset.name)}",
            "",
            f"{who} of the architecture {text(config.architecture)} ({config.parameters:,} parameters{each}; "
            f"{config.width} channels after a {stem}){pooled}. Takes RGB images of {config.image_size} x "
            f"{config.image_size} pixels and says which of {len(config.classes)} classes they show:",
            "",
            *(f"{label}. {text(name)}" for label, name in enumerate(config.classes)),
            "",
            f"Chosen: {text(config.chosen)}.",
        ]
    )


def _data(config: ExportConfig, summary: Summary) -> str:
    dataset = config.dataset
    sides = ", ".join(f"{count:,} {side}" for side, count in dataset.splits.items() if count)
    lines = [
        "## Data and recipe",
        "",
        f"{dataset.images:,} images of {text(dataset.name)}, split {text(dataset.split_label)}: {sides}. "
        f"Fingerprint of contents, labels and sides: `{dataset.fingerprint}`. The images are not included; "
        "whether a model trained on them may be distributed depends on their license.",
    ]
    if warning := leak_warning(summary.dataset):
        lines += ["", f"**{text(warning)}.**"]
    flags = {name: summary.config.get(name) for name in RECIPE}
    if started := summary.architectures[config.architecture].init_from:
        flags["init_from"] = f"{Path(started.file).name}, sha256 {started.sha256[:16]}"
    rows = [[text(name), text(str(value))] for name, value in flags.items() if value is not None]
    return "\n".join([*lines, "", _table(["recipe", ""], rows)])


def _accuracy(config: ExportConfig, summary: Summary) -> str:
    lines, network = ["## Accuracy", ""], summary.architectures[config.architecture]
    if scores := config.scores:
        side = WORDS[scores.side]
        low, high = (100 * end for end in scores.accuracy_ci95)
        lines.append(
            f"{100 * scores.accuracy:.1f} % of {scores.images:,} {side} images (95 % interval {low:.1f} to "
            f"{high:.1f} %, by Wilson on {scores.pictures:,} distinct pictures)."
        )
        if scores.side == "val":
            seed = " and the seed" if len(config.seeds) == 1 < len(network.seeds) else ""
            lines[-1] += f" The epoch{seed} may have been chosen on these very images."
        sizes = [each.support for each in scores.per_class.values()]
        lines[-1] += f" {text(majority_sentence(list(scores.per_class), {scores.side: sizes}))}"
        rows = [
            [text(name), f"{100 * each.recall:.0f} %", f"{100 * each.precision:.0f} %", str(each.support)]
            for name, each in scores.per_class.items()
        ]
        lines += ["", _table(["class", "recall", "precision", "images"], rows), ""]
    else:
        lines += ["The predictions of this run were not kept.", ""]
    described, side = network.best_val_accuracy, "validation"
    if network.test_accuracy is not UNSET:
        described, side = network.test_accuracy, "test"
    interval = described.ci95
    spread = f" (95 % interval over seeds {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %)" if interval else ""
    mean = 100 * (described.mean or 0.0)
    lines.append(
        f"One network of this architecture and recipe has a mean {side} accuracy of {mean:.1f} % over "
        f"{len(described.values)} seeds{spread}."
    )
    sentences = [
        pair.sentence
        for pair in summary.comparisons
        if config.architecture in (pair.baseline, pair.candidate) and pair.sentence
    ]
    if sentences:
        lines += ["", "It was trained for a comparison:", "", *(f"> {text(sentence)}" for sentence in sentences)]
    return "\n".join(lines)


def _calibration(found: TemperatureScaling) -> str:
    lines = ["## Calibration", ""]
    if found.problem:
        return "\n".join([*lines, f"The probabilities are not calibrated: {text(found.problem)}."])
    lines.append(
        f"Probabilities are softmax(log(mean over seeds of softmax(logits)) / {found.temperature:.4g}): temperature "
        f"scaling ([Guo et al. 2017](https://arxiv.org/abs/1706.04599)), fitted on {found.images:,} validation "
        "images."
    )
    if found.before and found.after:
        rows = [
            [words, *(f"{getattr(each, key) * scale:.{digits}f}" for each in (found.before, found.after))]
            for key, words, scale, digits in (
                ("expected_calibration_error", "expected calibration error, points", 100, 1),
                ("expected_by_chance", "the same of a perfectly calibrated network, by chance", 100, 1),
                ("loss", "cross-entropy, nats per image", 1, 3),
            )
        ]
        how = (
            "Measured on test images, on which the temperature was not fitted"
            if found.measured_on == "held out"
            else "Cross-fitted: each fifth of the images, copies together, is scored with the temperature of the others"
        )
        lines += ["", _table(["", "before", "after"], rows), "", f"{how} ({found.measured_images:,} images)."]
    return "\n".join(lines)


def _limits(config: ExportConfig, summary: Summary) -> str:
    named = replace(summary, dataset=replace(summary.dataset, name=config.dataset.name))
    own = [
        "It only knows its classes: an image of anything else gets one of them, often with a high probability.",
        *limits(named),
    ]
    return "\n".join(["## Limits", "", *(f"* {text(sentence)}" for sentence in own)])


def _loading(config: ExportConfig) -> str:
    lines, size = ["## How to load it", ""], config.image_size
    if "model.stablehlo" in config.files:
        lines += [
            "Without resjax, on CPU, an NVIDIA card or a TPU (`pip install jax flatbuffers pillow`):",
            "",
            "```python",
            "import json",
            "",
            "import numpy as np",
            "from jax import export",
            "from PIL import Image, ImageOps",
            "",
            'model = export.deserialize(bytearray(open("model.stablehlo", "rb").read()))',
            'classes = json.load(open("config.json"))["classes"]',
            'photo = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")',
            f"pixels = np.asarray(photo.resize(({size}, {size}), Image.Resampling.BILINEAR))",
            'probabilities = np.asarray(model.call(pixels[None])["probabilities"])[0]',
            "for label in np.argsort(-probabilities):",
            '    print(f"{classes[label]}: {100 * probabilities[label]:.1f} %")',
            "```",
            "",
        ]
    weights = [name for name in config.files if name.endswith(".safetensors")]
    if weights:
        listed = ", ".join(f"`{name}`" for name in weights)
        lines += [
            f"The weights alone, under torchvision's and timm's names ({listed}), in resjax, whose comparisons also "
            "start from them with `--init_from`:",
            "",
            "```python",
            "import jax",
            "import resjax",
            "",
            f"architecture = resjax.architecture({json.dumps(config.architecture)}, width={config.width}, "
            f"stem={json.dumps(config.stem)})",
            f"network = resjax.Functional(architecture, classes={len(config.classes)})",
            f"variables, notes = resjax.load_weights({json.dumps(weights[0])}, network.init(jax.random.key(0)))",
            "```",
            "",
        ]
    files = [[f"`{name}`", f"{each.bytes:,}", f"`{each.sha256[:16]}`"] for name, each in config.files.items()]
    return "\n".join([*lines, _table(["file", "bytes", "sha256 begins"], files)])


def text(words: str) -> str:
    """The words as Markdown that shows them literally, in one line, whatever a class or a file is called."""
    shown = "".join(letter if letter.isprintable() else " " for letter in words)
    # Anywhere the characters of emphasis, links, code, tables and HTML; in front those of lists.
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~&$]|^[-+=])", r"\\\1", shown)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", escaped)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

"""The model card of an exported arm, in the form of the Hugging Face hub: made from records, every name quoted."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resjax.report.figures.run import leak_warning, split_of
from resjax.report.page.limits import limits

RECIPE = (
    *("epochs", "batch_size", "optimizer", "learning_rate", "weight_decay", "schedule", "warmup_epochs", "augment"),
    "freeze",
)
"""The flags that a reader of the card would ask for first; all of them are in the run's config.flags."""
WORDS = {"val": "validation", "test": "test"}


def model_card(config: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    """The card as Markdown with a head in YAML, from `config.json` and the run's summary."""
    parts = [_head(config), _what(config), _data(config, summary), _accuracy(config, summary)]
    parts += [_calibration(config["calibration"]), _limits(config, summary), _loading(config)]
    return "\n\n".join(parts) + "\n"


def _head(config: Mapping[str, Any]) -> str:
    import yaml

    head: dict[str, Any] = {
        "library_name": "resjax",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "jax", "flax", "resnet", config["architecture"]],
    }
    if scores := config["scores"]:
        side = WORDS[scores["side"]]
        metric = {"type": "accuracy", "value": round(scores["accuracy"], 4), "name": f"{side} accuracy"}
        result = {
            "task": {"type": "image-classification"},
            "dataset": {"name": config["dataset"]["name"], "type": "imagefolder", "split": side},
            "metrics": [metric],
        }
        head["model-index"] = [{"name": config["architecture"], "results": [result]}]
    return f"---\n{yaml.safe_dump(head, sort_keys=False, allow_unicode=True)}---"


def _what(config: Mapping[str, Any]) -> str:
    seeds = config["seeds"]
    many = len(seeds) > 1
    who = f"An ensemble of {len(seeds)} networks (seeds {', '.join(map(str, seeds))})" if many else "A network"
    each = " each" if many else ""
    pooled = "; their probabilities are averaged" if many else ""
    stem = "7x7 convolution of stride 2 and max pool" if config["stem"] == "imagenet" else "3x3 convolution"
    return "\n".join(
        [
            f"# {text(config['architecture'])} on {text(config['dataset']['name'])}",
            "",
            f"{who} of the architecture {text(config['architecture'])} ({config['parameters']:,} parameters{each}; "
            f"{config['width']} channels after a {stem}){pooled}. Takes RGB images of {config['image_size']} x "
            f"{config['image_size']} pixels and says which of {len(config['classes'])} classes they show:",
            "",
            *(f"{label}. {text(name)}" for label, name in enumerate(config["classes"])),
            "",
            f"Chosen: {text(config['chosen'])}.",
        ]
    )


def _data(config: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    dataset = config["dataset"]
    sides = ", ".join(f"{count:,} {side}" for side, count in dataset["splits"].items() if count)
    lines = [
        "## Data and recipe",
        "",
        f"{dataset['images']:,} images of {text(dataset['name'])}, split {text(dataset['split_label'])}: {sides}. "
        f"Fingerprint of contents, labels and sides: `{dataset['fingerprint']}`. The images themselves are not part of "
        "this; whether a model made from them may be passed on is for whoever has them to know.",
    ]
    if warning := leak_warning(split_of(summary["dataset"])):
        lines += ["", f"**{text(warning)}.**"]
    flags = {name: summary["config"].get(name) for name in RECIPE}
    if started := summary["architectures"][config["architecture"]].get("init_from"):
        flags["init_from"] = f"{Path(started['file']).name}, sha256 {started['sha256'][:16]}"
    rows = [[text(name), text(str(value))] for name, value in flags.items() if value is not None]
    return "\n".join([*lines, "", _table(["recipe", ""], rows)])


def _accuracy(config: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    lines, arm = ["## Accuracy", ""], summary["architectures"][config["architecture"]]
    if scores := config["scores"]:
        side = WORDS[scores["side"]]
        low, high = (100 * end for end in scores["accuracy_ci95"])
        lines.append(
            f"{100 * scores['accuracy']:.1f} % of {scores['images']:,} {side} images (95 % interval {low:.1f} to "
            f"{high:.1f} %, by Wilson on {scores['pictures']:,} distinct pictures)."
        )
        if scores["side"] == "val":
            seed = " and the seed" if len(config["seeds"]) == 1 < len(arm["seeds"]) else ""
            lines[-1] += f" The epoch{seed} may have been chosen on these very images."
        rows = [
            [text(name), f"{100 * each['recall']:.0f} %", f"{100 * each['precision']:.0f} %", str(each["support"])]
            for name, each in scores["per_class"].items()
        ]
        lines += ["", _table(["class", "recall", "precision", "images"], rows), ""]
    else:
        lines += ["The predictions of this run were not kept.", ""]
    tested = arm.get("test_accuracy")
    described, side = (tested, "test") if tested else (arm["best_val_accuracy"], "validation")
    interval = described["ci95"]
    spread = f" (95 % interval over seeds {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %)" if interval else ""
    lines.append(
        f"One network of this architecture and recipe has {100 * described['mean']:.1f} % of the {side} images right "
        f"on average over {len(described['values'])} seeds{spread}."
    )
    sentences = [
        pair["sentence"]
        for pair in summary["comparisons"]
        if config["architecture"] in (pair["baseline"], pair["candidate"]) and pair.get("sentence")
    ]
    if sentences:
        lines += ["", "It was trained to be compared:", "", *(f"> {text(sentence)}" for sentence in sentences)]
    return "\n".join(lines)


def _calibration(found: Mapping[str, Any]) -> str:
    lines = ["## Calibration", ""]
    if found["problem"]:
        return "\n".join([*lines, f"The probabilities are not calibrated: {text(found['problem'])}."])
    lines.append(
        f"Probabilities are softmax(log(mean over seeds of softmax(logits)) / {found['temperature']:.4g}): temperature "
        f"scaling ([Guo et al. 2017](https://arxiv.org/abs/1706.04599)), fitted on {found['images']:,} validation "
        "images."
    )
    if found["after"]:
        rows = [
            [words, f"{found['before'][key] * scale:.{digits}f}", f"{found['after'][key] * scale:.{digits}f}"]
            for key, words, scale, digits in (
                ("expected_calibration_error", "expected calibration error, points", 100, 1),
                ("expected_by_chance", "the same of a perfectly calibrated one, by chance", 100, 1),
                ("loss", "cross-entropy, nats per image", 1, 3),
            )
        ]
        how = (
            "Measured on test images, which the temperature has not seen"
            if found["measured_on"] == "held out"
            else "Cross-fitted: each fifth of the images, copies together, is scored by the temperature of the others"
        )
        lines += ["", _table(["", "before", "after"], rows), "", f"{how} ({found['measured_images']:,} images)."]
    return "\n".join(lines)


def _limits(config: Mapping[str, Any], summary: Mapping[str, Any]) -> str:
    named = dict(summary) | {"dataset": summary["dataset"] | {"name": config["dataset"]["name"]}}
    own = [
        "It knows its classes alone: a picture of anything else gets one of them, often with a high probability.",
        *limits(named),
    ]
    return "\n".join(["## Limits", "", *(f"* {text(sentence)}" for sentence in own)])


def _loading(config: Mapping[str, Any]) -> str:
    lines, size = ["## How to load it", ""], config["image_size"]
    if "model.stablehlo" in config["files"]:
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
    weights = [name for name in config["files"] if name.endswith(".safetensors")]
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
            f"architecture = resjax.architecture({json.dumps(config['architecture'])}, width={config['width']}, "
            f"stem={json.dumps(config['stem'])})",
            f"network = resjax.Functional(architecture, classes={len(config['classes'])})",
            f"variables, notes = resjax.load_weights({json.dumps(weights[0])}, network.init(jax.random.key(0)))",
            "```",
            "",
        ]
    files = [[f"`{name}`", f"{each['bytes']:,}", f"`{each['sha256'][:16]}`"] for name, each in config["files"].items()]
    return "\n".join([*lines, _table(["file", "bytes", "sha256 begins"], files)])


def text(words: str) -> str:
    """Words as Markdown that shows just them, in one line, whatever a class or a file may be called."""
    shown = "".join(letter if letter.isprintable() else " " for letter in words)
    # Anywhere what makes emphasis, links, code, tables and HTML; in front what makes lists.
    escaped = re.sub(r"([\\`*_{}\[\]<>#|~&$]|^[-+=])", r"\\\1", shown)
    return re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", escaped)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)

"""What has changed since a workdir's run began, so that its replicas are not mixed with those of another recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resjax.data.splits import listed
from resjax.errors import BadInput
from resjax.models.architecture import architecture
from resjax.records.recipe_flags import OUTSIDE_RECIPE
from resjax.run.initial_weights import InitialWeights
from resjax.run.replica_folder import read_or_set_aside
from resjax.run.settings import SIZES, Settings
from resjax.training.recipe import RECIPE_VERSION


def changes(before: dict, settings: Settings, weights: Mapping[str, InitialWeights]) -> list[str]:
    """A phrase for each difference between the summary of `before` and the run that is asked for now."""
    # Summaries of before there were these flags do not have them.
    config = {"freeze": None, "milestones": "0.5,0.75", "warmup_shape": "linear"} | before["config"]
    changed = [
        f"--{flag} was {config[flag]}, now {value}"
        for flag, value in settings.flags.items()
        if flag not in OUTSIDE_RECIPE + SIZES and flag in config and config[flag] != value
    ]
    # Where a size was left to the architecture then and is given now, or the other way about, it may be the same.
    arms = [arm for arm in settings.architectures if arm.name in before["architectures"]]
    for flag in SIZES:
        for arm in arms:
            earlier = config[flag] if config[flag] is not None else getattr(architecture(arm.name), flag)
            if earlier != getattr(arm, flag):
                changed.append(f"--{flag} of {arm.name} was {earlier}, now {getattr(arm, flag)}")
    for arm in arms:
        earlier = (before["architectures"][arm.name].get("init_from") or {}).get("sha256")
        if earlier != (weights[arm.name].sha256 if arm.name in weights else None):
            changed.append(f"--init_from: {arm.name} started from {'another file' if earlier else 'random numbers'}")
    if (earlier := before.get("recipe_version", 1)) != RECIPE_VERSION:
        changed.append(f"the training itself: version {earlier} then, {RECIPE_VERSION} now")
    return changed


def recipe_before(workdir: Path) -> dict | None:
    """What the workdir's summary says of its recipe, or `recipe.json` where that was damaged; None in a new workdir.

    Raises:
      BadInput: where there are replicas, and nothing that says of what recipe.
    """
    records = [read_or_set_aside(workdir / name) for name in ("summary.json", "recipe.json")]
    found = next((record for record in records if record is not None), None)
    if found is None and (workdir / "runs").exists():
        raise BadInput(f"--workdir={workdir} holds replicas, but no record of their recipe: name a new one")
    return found


def data_changes(workdir: Path, now: Mapping[str, Any]) -> str:
    """What differs between the images and sides of the workdir's `split.json` and those of now."""
    before = read_or_set_aside(workdir / "split.json")
    if before is None:
        return "the images or their split have changed"
    old, new = (_images(record) for record in (before, now))
    both = sorted(old.keys() & new.keys())
    found = {"new": sorted(new.keys() - old.keys()), "gone": sorted(old.keys() - new.keys())}
    for place, what in enumerate(("content", "label", "side")):
        found[f"of another {what}"] = [name for name in both if old[name][place] != new[name][place]]
    counts = [f"{len(names)} {kind} ({listed(names)})" for kind, names in found.items() if names]
    return f"the images or their split have changed: {', '.join(counts) or 'in their order'}"


def _images(split: Mapping[str, Any]) -> dict[str, tuple[str, str, list[str]]]:
    """Content, label and sides of each image."""
    images: dict[str, tuple[str, str, list[str]]] = {}
    for row in split["images"]:
        images.setdefault(row["id"], (row["content"], row["label"], []))[2].append(row["side"])
    return images

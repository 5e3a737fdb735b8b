"""What has changed since the run in a workdir began, so that replicas of different recipes are not mixed."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from msgspec import UNSET, UnsetType

from resjax.data.splits import listed
from resjax.errors import BadInput
from resjax.models.architecture import architecture
from resjax.models.own_network import architectures_among
from resjax.records import NUMERICS_VERSION, OwnSource, RecipeRecord, SplitRecord, Summary
from resjax.records.kinds.base import OUTSIDE_RECIPE
from resjax.run.settings import SIZES, Settings
from resjax.run.setup.initial_weights import InitialWeights
from resjax.run.workdir.sound_records import read_or_quarantine
from resjax.training.recipe import flag_defaults


def changes(
    before: Summary | RecipeRecord,
    settings: Settings,
    weights: Mapping[str, InitialWeights],
    own: Mapping[str, OwnSource] = MappingProxyType({}),
) -> list[str]:
    """A phrase for each difference between the recipe of `before` and that of the settings.

    Args:
      weights: what the networks start from that do not start from random numbers.
      own: what the networks are made from that have no name in resjax.
    """
    # A flag of the recipe that a run did not know yet had no effect on it, as its default has none.
    config = flag_defaults() | before.config
    changed = [
        f"--{flag} was {config[flag]}, now {value}"
        for flag, value in settings.flags.items()
        if flag not in OUTSIDE_RECIPE + SIZES and flag in config and config[flag] != value
    ]
    # If one run left a size to the architecture and the other gives it, it may still be the same.
    networks = [each for each in settings.architectures if each.name in before.architectures]
    for each in networks:
        then, now = before.architectures[each.name].own, own.get(each.name, UNSET)
        if then != now:
            changed.append(f"network {each.name} was {_named(then)}, now {_named(now)}")
    for flag in SIZES:
        for each in architectures_among(networks):
            if before.architectures[each.name].own or each.name in own:
                continue
            given = before.config.get(flag)
            earlier = given if given is not None else getattr(architecture(each.name), flag)
            if earlier != getattr(each, flag):
                changed.append(f"--{flag} of {each.name} was {earlier}, now {getattr(each, flag)}")
    for each in networks:
        file = before.architectures[each.name].init_from
        if (file and file.sha256) != (weights[each.name].sha256 if each.name in weights else None):
            changed.append(f"--init_from: {each.name} started from {'another file' if file else 'random numbers'}")
    if before.recipe_version != NUMERICS_VERSION:
        changed.append(f"the training itself: version {before.recipe_version} then, {NUMERICS_VERSION} now")
    return changed


def _named(own: OwnSource | UnsetType) -> str:
    """Where a network comes from, in a few words."""
    if own is UNSET:
        return "resjax's of this name"
    if own.fields is not UNSET:
        return f"Architecture({', '.join(f'{name}={value!r}' for name, value in own.fields.items() if name != 'name')})"
    return f"{own.origin} with source {own.sha256[:12]}"


def recipe_before(workdir: Path) -> Summary | RecipeRecord | None:
    """The workdir's summary, or `recipe.json` if the summary was damaged; None for a new workdir.

    Raises:
      BadInput: if there are replicas, but no record of their recipe.
    """
    # Both are read, so that both are quarantined if they are damaged.
    summary = read_or_quarantine(workdir / "summary.json", Summary)
    recipe = read_or_quarantine(workdir / "recipe.json", RecipeRecord)
    if summary is None and recipe is None and (workdir / "runs").exists():
        raise BadInput(f"--workdir={workdir} holds replicas, but no record of their recipe: name a new folder")
    return recipe if summary is None else summary


def data_changes(workdir: Path, now: SplitRecord) -> str:
    """What differs between the images and sides of the workdir's `split.json` and those of now."""
    before = read_or_quarantine(workdir / "split.json", SplitRecord)
    if before is None:
        return "the images or their split have changed"
    old, new = _images(before), _images(now)
    both = sorted(old.keys() & new.keys())
    found = {"new": sorted(new.keys() - old.keys()), "gone": sorted(old.keys() - new.keys())}
    for place, what in enumerate(("content", "label", "side")):
        found[f"with another {what}"] = [name for name in both if old[name][place] != new[name][place]]
    counts = [f"{len(names)} {kind} ({listed(names)})" for kind, names in found.items() if names]
    otherwise = "in their order, or in the scale of images with more than 8 bits"
    return f"the images or their split have changed: {', '.join(counts) or otherwise}"


def _images(split: SplitRecord) -> dict[str, tuple[str, str, list[str]]]:
    """Content, label and sides of each image."""
    images: dict[str, tuple[str, str, list[str]]] = {}
    for image in split.images:
        images.setdefault(image.id, (image.content, image.label, []))[2].append(image.side)
    return images

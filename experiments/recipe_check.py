"""What has changed since a workdir's run began, so that its replicas are not mixed with those of another recipe."""

from collections.abc import Mapping

from experiments.initial_weights import InitialWeights
from experiments.options import SIZES, Settings
from experiments.recipe_flags import OUTSIDE_RECIPE
from resjax.models.architecture import architecture


def changes(before: dict, settings: Settings, weights: Mapping[str, InitialWeights], fingerprint: str) -> list[str]:
    """A phrase for each difference between the summary of `before` and the run that is asked for now."""
    # Summaries of before there was --freeze do not have it.
    config = {"freeze": None} | before["config"]
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
    if before["dataset"]["fingerprint"] != fingerprint:
        changed.append("the images or their split have changed")
    return changed

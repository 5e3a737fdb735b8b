"""A whole comparison in Python, on the engine of the command line."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from resjax.api.inputs import Data, Network, networks_of, source_of_data
from resjax.api.runs import Run, load_run
from resjax.data.dataset import Dataset
from resjax.data.splits import METHODS
from resjax.errors import BadInput
from resjax.evaluation.comparison.comparing import Question
from resjax.evaluation.comparison.measures import MEASURES
from resjax.evaluation.comparison.pairs import pairs_asked
from resjax.evaluation.comparison.statistics.planning import looks_until
from resjax.models.own_network import NetworkSpec, OwnNetwork
from resjax.models.twins import twins_among
from resjax.run.compare import compare as run_comparison
from resjax.run.settings import OnEpoch, Settings, SourceSettings, SplitSettings
from resjax.run.setup.recipe_flags import recipe_flags
from resjax.run.setup.sources import source_of
from resjax.training.recipe import WAYS, Recipe, require_choice, require_range

CALLED = "resjax.compare"
IMAGE_SIZE = 224


def compare(
    networks: Sequence[Network] | Mapping[str, Network],
    data: Data,
    *,
    workdir: Path | str,
    recipe: Recipe | None = None,
    seeds: int | Sequence[int] | str = 6,
    image_size: int | None = None,
    class_names: Sequence[str] | None = None,
    split: str | None = None,
    split_seed: int = 0,
    val_fraction: float | None = None,
    test_fraction: float = 0.0,
    near_copies: bool = True,
    comparisons: str = "twins",
    metric: str = "accuracy",
    margin: float | None = None,
    callbacks: Iterable[OnEpoch] = (),
    dtype: str = "float32",
    replicas_as: str = "auto",
    cache_dir: Path | str | None = None,
    max_seeds: int = 20,
    allow_mixed_environment: bool = False,
) -> Run:
    """Trains networks over seeds on the same images with the same recipe, and judges which one is better.

    Everything that `resjax compare` does: paired seeds, a split that duplicates do not cross, records, report. The same
    call skips what is finished in its workdir and resumes the rest, bit for bit; another recipe, other images or
    another source of a network are refused there.

    Args:
      networks: the baseline first. Names, `Architecture`s, or callables from a key to a `flax.nnx.Module` whose
        `__call__` takes images (batch, height, width, 3), float32 and standardized, to logits (batch, class). A
        callable with an argument `classes` is told their number. `module.train()` and `module.eval()` switch batch norm
        and dropout; streams of random numbers begin anew at each step, from the seed and the step. A dict gives names.
      data: a source as in `--dataset`; (images, labels), with images (image, height, width, 3 or 1), uint8, and labels
        (image,) or (image, 1), integers from 0; a dict of `train`, `val` and `test` of these; or a `Dataset`.
      workdir: folder of all results.
      recipe: how all networks are trained; `Recipe()` by default, which augments nothing. Its optimizer and schedule
        may be optax's, its augmentations any functions of (key, images), float32 from 0 to 1 and (batch, height, width,
        3).
      seeds: 6 means seeds 0 to 5; or the seeds; or `auto`, which adds seeds until there is a verdict.
      image_size: pixels of height and width; by default those of arrays, 224 for a source.
      class_names: of the classes of arrays; by default their numbers.
      split: `grouped`, `random`, `overlapping` or `given`; by default what the data have, or `grouped`.
      split_seed: of the split.
      val_fraction: of the images; by default 0.2.
      test_fraction: of the images.
      near_copies: whether near-copies are searched for, and stay on one side of the split.
      comparisons: `twins`, `first`, `all`, or pairs such as `resnet20:vit`.
      metric: what the verdict is about; a measure of `--metric`.
      margin: the largest difference that would not matter, in points.
      callbacks: called after each epoch with the network's name, the seed, and the line of `metrics.jsonl`. An error in
        one ends the comparison, with the epoch saved.
      dtype: of the computation; networks of one's own choose theirs themselves.
      replicas_as: how the seeds of a network are trained, as in `--replicas_as`.
      cache_dir: folder of decoded images.
      max_seeds: with `seeds="auto"`.
      allow_mixed_environment: as in `--allow_mixed_environment`.

    >>> import numpy as np, resjax
    >>> data, recipe = (np.zeros((4, 32, 32, 3), np.float32), np.arange(4)), resjax.Recipe(epochs=2)
    >>> try:
    ...     resjax.compare(["plain20", "resnet20"], data, recipe=recipe, workdir="runs/mine")
    ... except resjax.BadInput as error:
    ...     print(error)
    dataset 'arrays': images of float32; expected uint8, 0 to 255, not standardized

    Raises:
      BadInput: for what cannot be compared: see `experiments/README.md`.
    """
    recipe = Recipe() if recipe is None else recipe
    if not isinstance(recipe, Recipe):
        raise BadInput(f"recipe: {type(recipe).__name__}; expected a resjax.Recipe")
    workdir, specs = Path(workdir), networks_of(networks)
    source, size = source_of_data(
        data,
        class_names=class_names,
        cache_dir=None if cache_dir is None else Path(cache_dir),
        near_copies=near_copies,
    )
    size = _image_size(image_size, size, source)
    _require_recipe(recipe, size)
    for name, value, choices in (
        ("metric", metric, tuple(MEASURES)),
        ("replicas_as", replicas_as, ("auto", *WAYS)),
        ("dtype", dtype, ("float32", "bfloat16")),
        *((("split", split, METHODS),) if split is not None else ()),
    ):
        require_choice(name, value, choices)
    if val_fraction is not None:
        require_range("val_fraction", val_fraction, 0, 1, above=True)
    require_range("test_fraction", test_fraction, 0, 1)
    if margin is not None:
        require_range("margin", margin, 0, 100, above=True)
    pairs_asked(
        comparisons, [each.name for each in specs], [(one.baseline, one.candidate) for one in twins_among(specs)]
    )
    looks = looks_until(max_seeds) if seeds == "auto" else ()
    numbers = tuple(range(looks[-1])) if looks else _seeds(seeds)
    settings = Settings(
        architectures=specs,
        seeds=numbers,
        source=source,
        split=SplitSettings(
            methods=(split,) if split else (),
            seed=split_seed,
            file=None,
            folds=None,
            val_fraction=val_fraction,
            test_fraction=test_fraction,
        ),
        image_size=size,
        pipeline="auto",
        recipe=recipe,
        dtype=dtype,
        init_from={},
        workdir=workdir,
        flags={
            "python": CALLED,
            "dataset": source.dataset,
            "cache_dir": None if source.cache_dir is None else str(source.cache_dir),
            "near_copies": near_copies,
            "split": split,
            "split_seed": split_seed,
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
            "architectures": ",".join(_text_of_network(each) for each in specs),
            "seeds": _text_of_seeds(seeds, numbers),
            "max_seeds": max_seeds,
            "image_size": size,
            "comparisons": comparisons,
            "metric": metric,
            "margin": margin,
            "dtype": dtype,
            "replicas_as": replicas_as,
            "allow_mixed_environment": allow_mixed_environment,
            **recipe_flags(recipe),
            "workdir": str(workdir),
        },
        comparisons=comparisons,
        question=Question(metric, None if margin is None else margin / 100),
        looks=looks,
        replicas_as=replicas_as,
        allow_mixed_environment=allow_mixed_environment,
        callbacks=tuple(callbacks),
    )
    run_comparison(settings)
    return load_run(workdir)


def _image_size(asked: int | None, own: int | None, source: SourceSettings) -> int:
    size = asked or own or IMAGE_SIZE
    require_range("image_size", size, 8, 4096)
    # A data set is decoded already.
    if isinstance(source.given, Dataset) and size != own:
        raise BadInput(f"image_size={size}: the Dataset has images of {own} pixels; expected that, or none")
    return size


def _require_recipe(recipe: Recipe, size: int) -> None:
    """Refuses a recipe that cannot be compiled, or whose augmentations do not give images."""
    try:
        hash(recipe)
    except TypeError as error:
        raise BadInput(
            f"recipe: {error}; expected functions, frozen dataclasses and tuples, which have a hash"
        ) from error
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    for augmentation in recipe.augmentations:
        name = source_of(augmentation).origin
        try:
            after = jax.eval_shape(augmentation, jax.eval_shape(lambda: jax.random.key(0)), images)
        except BadInput:
            raise
        except Exception as error:  # Whatever its code raises.
            reason = " ".join(str(error).split())[:300]
            raise BadInput(
                f"augmentation {name}: {type(error).__name__}: {reason}; expected a function of (key, images)"
            ) from error
        shape, dtype = getattr(after, "shape", ()), getattr(after, "dtype", type(after).__name__)
        if len(shape) != 4 or shape[0] != 2 or shape[3] != 3 or dtype != jnp.float32:
            raise BadInput(
                f"augmentation {name}: {dtype} of shape {shape} from images {images.shape}; expected float32 images "
                "(2, height, width, 3)"
            )


def _seeds(given: int | Sequence[int] | str) -> tuple[int, ...]:
    if isinstance(given, bool) or isinstance(given, str):
        raise BadInput(f"seeds={given!r}: expected a number such as 6, seeds such as [0, 3, 7], or 'auto'")
    try:
        seeds = tuple(range(given)) if isinstance(given, int) else tuple(int(seed) for seed in given)
    except (TypeError, ValueError):
        seeds = ()
    if not seeds or min(seeds) < 0 or max(seeds) >= 2**32 or len(set(seeds)) < len(seeds):
        raise BadInput(f"seeds={given!r}: expected a number such as 6, different seeds such as [0, 3, 7], or 'auto'")
    return seeds


def _text_of_seeds(given: object, seeds: tuple[int, ...]) -> str:
    if given == "auto":
        return "auto"
    return str(len(seeds)) if seeds == tuple(range(len(seeds))) else f"{','.join(map(str, seeds))},"


def _text_of_network(network: NetworkSpec) -> str:
    return source_of(network.make).origin if isinstance(network, OwnNetwork) else network.name

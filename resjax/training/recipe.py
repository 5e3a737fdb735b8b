"""Everything that training depends on, except the architecture: each value with its flag, limits and help text.

Reading a recipe needs no jax.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from resjax.errors import BadInput, closest

if TYPE_CHECKING:
    import optax

    from resjax.data.augmentation import Augmentation

    Optimizer = str | optax.GradientTransformation | Callable[[optax.Schedule], optax.GradientTransformation]
    Schedule = str | optax.Schedule

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine", "step")
WARMUP_SHAPES = ("linear", "tenth")
DECAYED = ("all", "kernels")
CLASS_WEIGHTS = ("none", "balanced")
WAYS = ("sequential", "map", "vmap", "devices")
"""How the replicas of a network are trained: one after another; by one program that computes a step of one after the
other; by one program that computes all of them at once; or one on each device."""


def require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Checks that `value` is one of `choices`.

    Raises:
      BadInput: if it is not; the text names the most similar choice.
    """
    if value not in choices:
        near = closest(value, choices)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise BadInput(f"{name}={value!r}: {hint}expected one of {', '.join(choices)}")


def require_range(name: str, value: float, low: float, high: float = math.inf, *, above: bool = False) -> None:
    """Checks that low <= value <= high (low < value with `above`) and that the value is finite.

    Raises:
      BadInput: if it is not.
    """
    if not (low < value if above else low <= value) or not value <= high or not math.isfinite(value):
        limit = f"{'above' if above else 'of at least'} {low:g}" + (f" and at most {high:g}" if high < math.inf else "")
        raise BadInput(f"{name}={value:g}: expected a number {limit}")


@dataclass(frozen=True)
class Option:
    """How a field of a dataclass is set by a flag. Its type and its default are those of the field."""

    flag: str
    """The flag's name, without dashes."""
    help: str
    """What the value does, in one sentence."""
    unit: str = ""
    """What a number counts; empty if it has no unit."""
    choices: tuple[str, ...] = ()
    """All texts that are allowed; empty if it is not one of a few."""
    above: float | None = None
    """A number has to be larger than this."""
    least: float | None = None
    """A number has to be at least this."""
    most: float = math.inf
    """A number has to be at most this."""
    parse: Callable[[str], Any] | None = None
    """From the flag's text to the value; None if the flag has the field's own type. Raises `BadInput`."""
    default_text: str | None = None
    """With `parse`, the flag's default. None leaves the field's default."""
    alias: str | None = None
    """A shorter name of the flag."""

    def check(self, value: Any) -> None:
        """Checks a value against choices and limits.

        Raises:
          BadInput: if it is outside; the text names the flag and the value.
        """
        name = f"--{self.flag}"
        if self.choices:
            # From Python also what is no text, which the dataclass itself looks at.
            if isinstance(value, str):
                require_choice(name, value, self.choices)
            return
        if self.above is not None:
            require_range(name, value, self.above, self.most, above=True)
        elif self.least is not None:
            require_range(name, value, self.least, self.most)

    def describe(self) -> str:
        """The text for `--help`: the choices, then what the value does."""
        return f"one of {', '.join(self.choices)}: {self.help}" if self.choices else self.help


def option(default: Any, *, help: str, flag: str = "", **more: Any) -> Any:
    """A dataclass field with an `Option` in `field.metadata["option"]`; `more` are the other fields of `Option`.

    An empty `flag` stands for the field's name.
    """
    return dataclasses.field(default=default, metadata={"option": Option(flag, help, **more)})


def fields_with_options(kind: type) -> Iterator[tuple[dataclasses.Field, Option]]:
    """The fields of a dataclass that were made by `option`, in order, with their options."""
    for each in dataclasses.fields(kind):
        found = each.metadata.get("option")
        if found is not None:
            yield each, found if found.flag else replace(found, flag=each.name)


def flag_defaults() -> dict[str, Any]:
    """The recipe's flags with their defaults as they stand in records: what a run had that did not know a flag yet."""
    return {
        option.flag: each.default if option.default_text is None else option.default_text
        for each, option in fields_with_options(Recipe)
        if option.default_text is not None or not option.parse
    }


def parse_milestones(text: str) -> tuple[float, ...]:
    """Numbers from text such as `0.5,0.75`; the recipe checks their order.

    Raises:
      BadInput: for text that is not numbers.
    """
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise BadInput(f"--milestones={text}: {_EXPECTED_MILESTONES}") from None


_EXPECTED_MILESTONES = "expected rising fractions of the run between 0 and 1, such as 0.5,0.75"


def parse_freeze(text: str) -> tuple[str, ...]:
    """Patterns from text such as `stem.*,stages.[01].*`."""
    return tuple(pattern.strip() for pattern in text.split(",") if pattern.strip())


def parse_augment(text: str) -> "tuple[Augmentation, ...]":
    """`resjax.data.augmentation.parse_augmentation`, which needs jax.

    Raises:
      BadInput: for an unknown augmentation, or numbers that do not fit it.
    """
    from resjax.data.augmentation import parse_augmentation

    return parse_augmentation(text)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the same for all networks of a comparison.

    Raises:
      BadInput: for a value outside its limits; the text names its flag.
    """

    epochs: int = option(10, least=1, unit="epochs", help="passes over the training images")
    batch_size: int = option(
        24,
        alias="bs",
        least=1,
        unit="images",
        help="images per step; the last step of an epoch takes the rest, so that every image counts once",
    )
    optimizer: "Optimizer" = option(
        "adam",
        choices=OPTIMIZERS,
        help="adam adds the decay to the gradient, as torch.optim.Adam does; adamw decouples it; sgd has momentum",
    )
    """From Python also a function of the learning rate such as `optax.lion` or `functools.partial(optax.adamw,
    weight_decay=0.1)`, or all of an optimizer, such as `optax.sgd(0.1)`, which has its rate and schedule inside.
    Neither sees `weight_decay` and `momentum`."""
    learning_rate: float = option(5e-4, alias="lr", above=0, help="peak learning rate")
    weight_decay: float = option(5e-4, alias="wd", least=0, help="weight decay")
    decayed: str = option(
        "all",
        choices=DECAYED,
        help="which parameters decay: all, as in torch, or only the kernels of convolutions and of the head",
    )
    momentum: float = option(0.9, least=0, most=1, help="momentum of sgd")
    schedule: "Schedule" = option(
        "constant",
        choices=SCHEDULES,
        help="how the learning rate changes; cosine falls to zero, step divides it by 10 at each of --milestones",
    )
    """From Python also a function from the number of finished steps to the learning rate, such as
    `optax.cosine_decay_schedule(0.1, 1000)`; it knows its peak and its warm-up itself."""
    milestones: tuple[float, ...] = option(
        (0.5, 0.75),
        parse=parse_milestones,
        default_text="0.5,0.75",
        unit="fraction of the run",
        help="for --schedule=step: the fractions of the run after which the learning rate is divided by 10",
    )
    warmup_epochs: float = option(0.0, least=0, unit="epochs", help="epochs of warm-up, which are part of --epochs")
    warmup_shape: str = option(
        "linear",
        choices=WARMUP_SHAPES,
        help="the learning rate during warm-up: linear rises from zero to the full rate; tenth is a tenth of it, as in "
        "He et al. 2015 with 110 layers",
    )
    augmentations: "tuple[Augmentation, ...]" = option(
        (),
        flag="augment",
        parse=parse_augment,
        default_text="flip,rotate:15,color:0.2,0.2,0.2,0.1",
        help="random changes of the training images: flip, rotate:DEGREES, color:BRIGHTNESS,CONTRAST,SATURATION,HUE, "
        "lighting:SPREAD, crop:PIXELS, scale:SIZE,LEAST,MOST (resized to a side of LEAST to MOST pixels, of which a "
        "square of SIZE is cut out), resized_crop:LEAST,MOST (a box of LEAST to MOST of the area, resized to the whole "
        "image), trivial_augment (one change of random kind and strength), joined by commas; or none",
    )
    mixup: float = option(
        0.0,
        least=0,
        help="alpha of mixup: two images and their labels are averaged, with a share that is drawn for each batch from "
        "Beta(alpha, alpha); 0 for none. With --cutmix beside it each batch is mixed in one of the two ways",
    )
    cutmix: float = option(
        0.0,
        least=0,
        help="alpha of CutMix: a box of each image is replaced by that of another image. The share of the box is drawn "
        "from Beta(alpha, alpha), and the labels are averaged by it; 0 for none",
    )
    label_smoothing: float = option(
        0.0,
        least=0,
        most=1,
        help="share of each label that is spread over all classes in the loss that is minimized; recorded losses are "
        "without it",
    )
    class_weights: str = option(
        "none",
        choices=CLASS_WEIGHTS,
        help="weights in the loss that is minimized; none: all images count the same; balanced: all classes count the "
        "same. Recorded losses are without weights",
    )
    clip_norm: float = option(
        0.0,
        least=0,
        help="largest norm of the gradient of all parameters together, before weight decay; larger ones are scaled "
        "down to it; 0 for no limit",
    )
    ema_decay: float = option(
        0.0,
        least=0,
        most=0.99999,
        help="decay of an average of the weights (EMA) that is updated after every step; 0 for none. Validation, the "
        "best epoch and predictions use the average, and batch norm's statistics are averaged too",
    )
    freeze: tuple[str, ...] = option(
        (),
        parse=parse_freeze,
        help="parameters that are not trained: patterns joined by commas, such as stem.*,stages.[01].* (batch norms "
        "that are frozen completely keep their statistics)",
    )

    @classmethod
    def from_flags(cls, values: Mapping[str, Any]) -> "Recipe":
        """The recipe from the values of its flags, by name; None stands for the field's default.

        Raises:
          BadInput: for text that cannot be parsed, or a value outside its limits.
        """
        given = {}
        for each, its in fields_with_options(cls):
            value = values[its.flag]
            if value is not None:
                given[each.name] = its.parse(value) if its.parse else value
        return cls(**given)

    def without_rates(self) -> "Recipe":
        """The recipe with a learning rate and a weight decay of 1: equal for all recipes that share a compiled program.

        A weight decay of zero stays: the program then leaves the addition out, which changes how XLA rounds the rest.
        """
        return replace(self, learning_rate=1.0, weight_decay=1.0 if self.weight_decay else 0.0)

    def __post_init__(self) -> None:
        for each, its in fields_with_options(type(self)):
            its.check(getattr(self, each.name))
        whole = hasattr(self.optimizer, "init") and hasattr(self.optimizer, "update")
        if not (isinstance(self.optimizer, str) or whole or callable(self.optimizer)):
            raise BadInput(f"optimizer={self.optimizer!r}: expected one of {', '.join(OPTIMIZERS)}, or one of optax")
        if not (isinstance(self.schedule, str) or callable(self.schedule)):
            raise BadInput(
                f"schedule={self.schedule!r}: expected one of {', '.join(SCHEDULES)}, or a function of a step"
            )
        if not isinstance(self.schedule, str) and self.warmup_epochs:
            raise BadInput(
                f"--warmup_epochs={self.warmup_epochs:g} with a schedule of your own: expected 0, it warms up itself"
            )
        require_range("--warmup_epochs", self.warmup_epochs, 0, self.epochs)
        if any(not 0 < each < 1 for each in self.milestones) or sorted(set(self.milestones)) != [*self.milestones]:
            given = ",".join(f"{each:g}" for each in self.milestones)
            raise BadInput(f"--milestones={given}: {_EXPECTED_MILESTONES}")

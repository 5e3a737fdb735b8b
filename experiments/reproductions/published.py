"""Numbers that others published: what, by whom, where, and of which epoch. They are never mixed with our own."""

from resjax.records import PublishedNumber


def _row(
    values: dict[str, float], who: str, where: str, measures: str, *, hedge: str = "", high: float | None = None
) -> tuple[PublishedNumber, ...]:
    """One number each of several networks, by name."""
    return tuple(
        PublishedNumber(network=name, value=value, who=who, where=where, measures=measures, high=high, hedge=hedge)
        for name, value in values.items()
    )


HE_2015 = "https://arxiv.org/abs/1512.03385"
CIFAR10 = (
    *_row(
        {"resnet20": 8.75, "resnet32": 7.51, "resnet44": 7.17, "resnet56": 6.97, "resnet110": 6.43},
        "He et al. 2015",
        f"{HE_2015}, table 6 (depth 110: the best of five runs, whose mean is 6.61)",
        "test error",
    ),
    *_row(
        {"plain20": 9.5, "plain32": 10.0, "plain44": 12.0, "plain56": 13.5},
        "He et al. 2015",
        f"{HE_2015}, figure 6 (left), read off",
        "test error",
        hedge="about",
    ),
    *_row({"plain110": 60.0}, "He et al. 2015", f"{HE_2015}, section 4.2", "test error", hedge="more than"),
    *_row(
        {"resnet20": 8.27, "resnet32": 7.37, "resnet44": 6.90, "resnet56": 6.61, "resnet110": 6.32},
        "akamaster/pytorch_resnet_cifar10",
        "https://github.com/akamaster/pytorch_resnet_cifar10",
        "test error at its best epoch",
    ),
    *_row(
        {"resnet20": 8.29, "resnet32": 7.63, "resnet44": 7.14, "resnet56": 6.94, "resnet110": 6.73},
        "gcr/torch-residual-networks",
        "https://github.com/gcr/torch-residual-networks",
        "test error",
    ),
    *_row(
        {
            **{"plain20": 9.5, "plain32": 9.92, "plain44": 11.35, "plain56": 12.76},
            **{"resnet20": 8.0, "resnet32": 7.51, "resnet44": 7.38, "resnet56": 7.33},
        },
        "a-martyn/resnet",
        "https://github.com/a-martyn/resnet",
        "test error at its best epoch",
    ),
)
IMAGENET = _row(
    {"plain18": 27.94, "plain34": 28.54, "resnet18_pad": 27.88, "resnet34_pad": 25.03},
    "He et al. 2015",
    f"{HE_2015}, table 2",
    "top-1 error on validation, ten crops",
)
EXERCISE = "the first exercise"
FIRST_EXERCISE = (
    *_row({"plain34": 54.29, "resnet34": 60.00}, f"{EXERCISE}, README", "its README", "best of ten epochs"),
    *_row({"plain34": 46.94, "resnet34": 58.78}, f"{EXERCISE}, report", "its report", "best of ten epochs"),
    *_row({"plain34": 37.55, "resnet34": 53.88}, f"{EXERCISE}, report", "its report", "epoch 10"),
    *_row(
        {"preact_resnet34": 62.04, "se_resnet34": 70.61}, f"{EXERCISE}, report", "its report", "the epoch is not said"
    ),
    *_row({"plain34": 27}, "seven other student repositories", "their READMEs", "lowest to highest", high=72),
    *_row({"resnet34": 43}, "seven other student repositories", "their READMEs", "lowest to highest", high=86),
)
DISHES = ("bakso", "gado_gado", "nasi_goreng", "rendang", "soto_ayam")
FIRST_EXERCISE_CONFUSION = {
    "plain34": ((41, 1, 9, 0, 3), (19, 8, 15, 0, 6), (1, 2, 54, 1, 1), (0, 2, 33, 10, 0), (24, 6, 7, 0, 2)),
    "resnet34": ((21, 5, 3, 2, 23), (2, 4, 11, 1, 30), (0, 1, 52, 4, 2), (0, 0, 10, 35, 0), (1, 2, 4, 0, 32)),
}
"""The confusion matrices of its report, at the best epochs. Rows are true classes, columns predicted ones, in the order
of `DISHES`."""

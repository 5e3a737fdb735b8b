"""Frozen descriptions of networks, and the table of those that have a name.

>>> {name: ARCHITECTURES[name].shortcut for name in ("plain34", "resnet34", "resnet34_pad", "resnet56")}
{'plain34': 'none', 'resnet34': 'project', 'resnet34_pad': 'pad', 'resnet56': 'pad'}
>>> [architecture("resnet34").with_shortcut(shortcut).name for shortcut in SHORTCUTS]
['plain34', 'resnet34_pad', 'resnet34', 'resnet34_project_all']
>>> [architecture("resnet34", stem=stem).stride for stem in STEMS]
[32, 8]
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from resjax.errors import BadInput, closest
from resjax.models.names import NORMALIZATIONS, parse_name

SHORTCUTS = ("none", "pad", "project", "project_all")
"""The kinds of shortcut (He et al. 2015, section 3.3): the plain network without one, then options A, B and C."""
STEMS = ("imagenet", "cifar")
"""The kinds of stem: `imagenet` divides height and width by four, `cifar` keeps them."""
BLOCKS = {"basic": 2, "bottleneck": 3}
"""Convolutions of a block: two 3x3, or 1x1, 3x3 and 1x1 with four times the channels."""
EXPANSION = {"basic": 1, "bottleneck": 4}


class Place(NamedTuple):
    """Where a block stands in its network, and the sizes that follow."""

    stage: int
    index: int
    inputs: int
    inner: int
    """Channels between a block's convolutions."""
    outputs: int
    stride: int
    drop_rate: float
    """How often stochastic depth drops the block's branch."""


@dataclass(frozen=True)
class Architecture:
    """A network's description, frozen and hashable: blocks of each stage, shortcut, stem, width, norm and more.

    >>> own = Architecture("own", blocks=(1, 2), shortcut="project", block="bottleneck", stem="cifar", width=16)
    >>> own.depth, own.stride, own.with_shortcut("none").name
    (11, 2, 'own_none')

    Raises:
      BadInput: for a value outside its range, or two that do not go together.
    """

    name: str
    blocks: tuple[int, ...]
    """Blocks of each stage; every stage but the first halves the map and doubles the channels."""
    shortcut: str
    """`none`: the plain twin. `pad`: identity, zeros for new channels. `project`: 1x1 convolution where the shape
    changes. `project_all`: 1x1 convolution everywhere."""
    stem: str = "imagenet"
    """`imagenet`: 7x7 with stride 2 and 3x3 max pool with stride 2. `cifar`: 3x3."""
    width: int = 64
    """Channels of the stem, and of the first stage before widening and expansion."""
    zero_gamma: bool = False
    """Whether the last batch norm of a block starts at 0 (Goyal et al. 2017, section 5.1)."""
    block: str = "basic"
    """`basic`: two 3x3 convolutions. `bottleneck`: 1x1, 3x3 with the stride (V1.5), 1x1 (He et al. 2015, figure 5)."""
    preactivation: bool = False
    """Whether normalization and relu come before each convolution (He et al. 2016, "Identity mappings")."""
    squeeze_excitation: int = 0
    """The reduction of squeeze-and-excitation, 16 in Hu et al. 2018; 0 for none."""
    cardinality: int = 1
    """Groups of a bottleneck's 3x3 convolution (Xie et al. 2017, ResNeXt)."""
    base_width: int = 64
    """Channels of each of these groups in the first stage at width 64."""
    widening: int = 1
    """By how much the stages are wider than the stem (Zagoruyko and Komodakis 2016, k)."""
    normalization: str = "batch"
    """`batch`; `group`, with weight standardization; `none`: a bias for each channel; `skipinit` and `fixup`: none, and
    branches that start at zero (De and Smith 2020; Zhang et al. 2019)."""
    stochastic_depth: float = 0.0
    """How often the last block is dropped while training; earlier ones less, in proportion (Huang et al. 2016)."""

    def __post_init__(self) -> None:
        _require(self.shortcut in SHORTCUTS, f"shortcut {self.shortcut!r}", f"one of {', '.join(SHORTCUTS)}")
        _require(self.stem in STEMS, f"--stem={self.stem!r}", f"one of {', '.join(STEMS)}")
        _require(self.width >= 1, f"--width={self.width}", "a number of channels, 1 or more")
        _require(
            bool(self.blocks) and min(self.blocks) >= 1,
            f"blocks {self.blocks}",
            "at least one stage, with a block each",
        )
        _require(self.block in BLOCKS, f"block {self.block!r}", f"one of {', '.join(BLOCKS)}")
        _require(
            self.normalization in NORMALIZATIONS,
            f"normalization {self.normalization!r}",
            f"one of {', '.join(NORMALIZATIONS)}",
        )
        for field in ("cardinality", "base_width", "widening"):
            _require(getattr(self, field) >= 1, f"{field} {getattr(self, field)}", "1 or more")
        _require(
            self.squeeze_excitation >= 0,
            f"squeeze_excitation {self.squeeze_excitation}",
            "a reduction of 1 or more, or 0 for none",
        )
        _require(
            0 <= self.stochastic_depth < 1, f"stochastic_depth {self.stochastic_depth:g}", "a rate from 0 to below 1"
        )
        self._require_fitting()

    def _require_fitting(self) -> None:
        """Refuses fields that are fine each, but not together."""
        if self.block == "basic" and (self.cardinality, self.base_width) != (1, 64):
            raise BadInput(
                f"{self.name}: cardinality {self.cardinality} and base width {self.base_width} with basic blocks: "
                "only bottleneck blocks have them; expected 1 and 64"
            )
        if self.block == "bottleneck" and self.width * self.widening * self.base_width % 64:
            least = 64 // math.gcd(64, self.widening * self.base_width)
            raise BadInput(
                f"--width={self.width}: {self.width * self.widening * self.base_width / 64:g} channels a group in "
                f"{self.name}; expected a multiple of {least}"
            )
        if self.is_plain and (what := self._needing_shortcut()):
            raise BadInput(
                f"{self.name}: {what[0]} without a shortcut: a branch at zero would pass nothing on; shortcut "
                f"expected {', '.join(SHORTCUTS[1:])}, or the plain network without it"
            )
        if self.preactivation and (self.zero_gamma or self.normalization == "fixup"):
            what = "zero_gamma" if self.zero_gamma else "normalization 'fixup'"
            raise BadInput(
                f"{self.name}: {what} with preactivation: it is defined for blocks that end in their normalization; "
                "expected preactivation=False, or normalization 'skipinit'"
            )
        if self.zero_gamma and self.normalization not in ("batch", "group"):
            raise BadInput(
                f"{self.name}: zero_gamma with normalization {self.normalization!r}: expected 'batch' or 'group'"
            )

    def _needing_shortcut(self) -> list[str]:
        """The fields that make branches zero, at the start or for some images; alone they would pass nothing on."""
        return [
            what
            for what, present in (
                (f"normalization {self.normalization!r}", self.normalization in ("skipinit", "fixup")),
                ("zero_gamma", self.zero_gamma),
                ("stochastic_depth", self.stochastic_depth > 0),
            )
            if present
        ]

    @property
    def is_plain(self) -> bool:
        """Whether it is a plain network: no shortcut, no addition."""
        return self.shortcut == "none"

    @property
    def needs_shortcut(self) -> bool:
        """Whether it has no plain twin: SkipInit, Fixup, zero-gamma and stochastic depth make branches zero."""
        return bool(self._needing_shortcut())

    @property
    def depth(self) -> int:
        """Layers with weights, shortcuts and squeeze-and-excitation not counted: those of the blocks, stem and head."""
        return BLOCKS[self.block] * sum(self.blocks) + 2

    @property
    def kernel_scale(self) -> float:
        """What the initial kernels of blocks are multiplied by, except the last one of each: 1 without Fixup.

        L ** (-1 / (2 m - 2)) for L blocks of m layers (Zhang et al. 2019, section 3).
        """
        return sum(self.blocks) ** (-1 / (2 * BLOCKS[self.block] - 2)) if self.normalization == "fixup" else 1.0

    @property
    def stem_stride(self) -> int:
        """By how much the stem divides height and width."""
        return 4 if self.stem == "imagenet" else 1

    @property
    def stride(self) -> int:
        """By how much the network divides height and width; smaller images are refused."""
        return self.stem_stride * 2 ** (len(self.blocks) - 1)

    def places(self) -> Iterator[Place]:
        """The blocks in order."""
        inputs, passed = self.width, 0
        for stage, count in enumerate(self.blocks):
            planes = self.width * self.widening * 2**stage
            outputs = planes * EXPANSION[self.block]
            inner = planes * self.base_width // 64 * self.cardinality
            for index in range(count):
                passed += 1
                drop_rate = self.stochastic_depth * passed / sum(self.blocks)
                yield Place(stage, index, inputs, inner, outputs, 2 if stage and not index else 1, drop_rate)
                inputs = outputs

    def with_shortcut(self, shortcut: str) -> "Architecture":
        """The same network with another shortcut, under the name that it has in the table.

        >>> architecture("se_resnet34", width=16).with_shortcut("pad").name
        'se_resnet34_pad'

        Raises:
          BadInput: for `none` where the network needs its shortcut.
        """
        name = parse_name(self.name)
        if name is None:
            return replace(self, name=f"{self.name}_{shortcut}", shortcut=shortcut)
        return replace(self, name=str(name.with_shortcut(shortcut)), shortcut=shortcut)


def _require(right: bool, given: str, expected: str) -> None:
    if not right:
        raise BadInput(f"{given}: expected {expected}")


_EXAMPLES = (
    *("plain34", "resnet56", "preact_resnet110", "se_resnet50", "resnext50_32x4d", "wide_resnet28_10", "resnet50_gn"),
    "resnet34_project_all",
)


def _same_name(name: str) -> list[str]:
    """The name that differs in case or in a separator only, as `ResNet-18` does; empty if there is none."""
    lower = name.lower()
    for same in (lower, lower.replace("-", "_"), lower.replace("-", ""), lower.replace("_", "")):
        if (parts := parse_name(same)) and parts.sizes():
            return [same]
    return []


def architecture(name: str, **fields: object) -> Architecture:
    """The description of a named network, with some fields changed.

    Any name that follows the rule of `resjax.models.names.Name` is known, in the table or not.

    >>> architecture("resnet34", width=16, stem="cifar").blocks
    (3, 4, 6, 3)
    >>> architecture("plain1202").depth
    1202

    Raises:
      BadInput: for an unknown name, with the nearest ones, or a value outside its range.
    """
    parts = parse_name(name)
    sizes = parts.sizes() if parts else None
    if parts is None or sizes is None:
        near = _same_name(name) or [*closest(name, ARCHITECTURES, 2), *(parts.nearest() if parts else ())]
        near = list(dict.fromkeys(near))
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        expected = parts.legal_depths() if parts else f"names such as {', '.join(_EXAMPLES)}"
        raise BadInput(f"architecture {name!r}: {hint}expected {expected}")
    if parts.shortcut and parts.shortcut == parts.own_shortcut:
        shorter = parts.with_shortcut(parts.shortcut)
        raise BadInput(f"architecture {name!r}: its shortcut is {parts.shortcut} anyway; expected {shorter}")
    described = Architecture(
        **{
            "name": name,
            "shortcut": "none" if parts.plain else parts.shortcut or parts.own_shortcut,
            "preactivation": parts.preactivation,
            "squeeze_excitation": 16 if parts.squeeze_excitation else 0,
            "normalization": parts.normalization,
            "zero_gamma": parts.zero_gamma,
            "stochastic_depth": 0.5 if parts.stochastic_depth else 0.0,
            **sizes,
        }
    )
    return replace(described, **fields)


def _table() -> dict[str, Architecture]:
    depths = (18, 34, 50, 101, 152, 20, 32, 44, 56, 110)
    named = [f"{prefix}resnet{depth}" for prefix in ("", "preact_", "se_") for depth in depths]
    named += [f"resnet{depth}_{shortcut}" for depth in (18, 34, 50) for shortcut in ("pad", "project_all")]
    named += [f"resnet{depth}_{shortcut}" for depth in (20, 56, 110) for shortcut in ("project", "project_all")]
    named += ["resnet1202", "preact_resnet164", "preact_resnet1001", "se_preact_resnet34"]
    named += ["resnext50_32x4d", "resnext101_32x8d", "resnext101_64x4d", "se_resnext50_32x4d"]
    named += ["wide_resnet50_2", "wide_resnet101_2", "wide_resnet16_4", "wide_resnet28_10"]
    named += [
        f"{base}{suffix}"
        for base in ("resnet34", "resnet50", "resnet56")
        for suffix in NORMALIZATIONS.values()
        if suffix
    ]
    named += ["preact_resnet34_gn", "preact_resnet34_skipinit", "resnet50_zero_gamma"]
    named += ["resnet34_stochastic_depth", "resnet110_stochastic_depth"]
    table = {}
    for name in named:
        described = architecture(name)
        if not described.needs_shortcut:
            plain = described.with_shortcut("none")
            table[plain.name] = plain
        table[name] = described
    return table


ARCHITECTURES: dict[str, Architecture] = _table()
"""The architectures of the papers by name, each with its plain twin. Each is tested by name; `architecture` knows every
other depth, shortcut and combination by the same rule."""

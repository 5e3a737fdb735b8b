"""What every step of the suite is told, the rows that it writes, and what a measurement returns."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from msgspec import UNSET, UnsetType

from resjax.records import Part

from ..harness.contenders import Contender, InProcess, Worker
from ..harness.machine import Device

Status = Literal["done", "unfinished", "failed"]


class SuiteRow(Part, frozen=True, kw_only=True):
    """One case of one step."""

    step: str
    case: str
    status: Status
    """`unfinished` where its time was over; it goes on at the next start."""
    rehearsal: bool
    """Whether there was no accelerator: sizes are tiny then, and times say nothing."""
    seconds: float
    device: str
    versions: dict[str, str]
    text: str
    """What was measured, in words; empty where nothing was."""
    values: dict[str, Any]
    why: str | UnsetType = UNSET
    """Why it is unfinished or failed."""


class Measured(NamedTuple):
    """What a case has shown."""

    text: str
    values: dict[str, Any]
    unfinished: str = ""
    """Why there is more to come; empty for a case that is done."""


class SuiteCase(NamedTuple):
    """A case of a step; `measure` gets the seconds that are left for it."""

    name: str
    measure: Callable[[float], Measured]


@dataclass(frozen=True)
class SuiteSettings:
    """What all steps are told."""

    device: Device
    workdir: Path
    """For the runs that resume, caches and unpacked images."""
    dataset: str | None = None
    """As `compare` takes it, or `npz:FILE` with packed files; None for drawn dishes."""
    image_dir: str | None = None
    split_file: str | None = None
    cifar: str | None = None
    """`npz:FILE` of 32 px images; None for made ones."""

    @property
    def rehearsal(self) -> bool:
        """Whether there is no accelerator."""
        return self.device.platform == "cpu"

    @property
    def open_contender(self) -> Callable[..., Contender]:
        """A process for each side, so that its memory is its own; a rehearsal has no time for processes."""
        return InProcess if self.rehearsal else Worker

    @property
    def samples(self) -> int:
        """Of each contender."""
        return 1 if self.rehearsal else 5


class Step(NamedTuple):
    """A step of the suite: several cases, the most valuable first."""

    name: str
    share: float
    """The fraction of the suite's time that it may take, beside what the steps before it left."""
    cases: Callable[[SuiteSettings], list[SuiteCase]]

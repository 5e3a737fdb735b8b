"""How every HTML page is made: from a template, with every value escaped and none forgotten."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from resjax.records.defaults import said
from resjax.report.page.glossary import Glossary

if TYPE_CHECKING:
    from jinja2.runtime import Context

TEMPLATES = Path(__file__).parent / "templates"
MARKS = "●■▲◆▼✚"
"""The marks of networks in figures, for the text beside them."""


def render(template: str, **values: object) -> str:
    """The page of a template in `templates/`; a name that the template uses and nobody gave is an error."""
    # A command's --help, and whoever reads a record's words alone, does without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    glossary = Glossary()

    # The context is not used; with it jinja2 links literal texts in their turn and not before all others.
    @pass_context
    def explained(_: "Context", text: str) -> str:
        return environment.filters["safe"](glossary.link(text))

    environment.filters |= {"explained": explained, "flags": flags_of, "parts": parts}
    return environment.get_template(template).render(marks=MARKS, glossary=glossary, **values)


def parts(name: str) -> list[str]:
    """A name in parts between which a line may break.

    >>> parts("gado_gado/0001.png")
    ['gado_', 'gado/', '0001.', 'png']
    """
    return [part for part in re.split(r"(?<=[_/.,=-])", name) if part]


def flags_of(command: str) -> list[str]:
    """A command in parts of which each but the first is a flag, as a shell would have it.

    >>> flags_of("python -m experiments.sweep '--grid=width=4|8' --seeds=3")
    ['python -m experiments.sweep', "'--grid=width=4|8'", '--seeds=3']
    """
    return re.split(r" (?='?--)", command)


def command_line(experiment: str, config: Mapping[str, object], *flags: str) -> str:
    """The command that runs an experiment again, from the flags that its record holds: those that are no default.

    Of one that was started in Python, the name of the function.
    """
    if called := config.get("python"):
        return f"{called}(...)  # in Python, with what the flags below say"
    given = [f"--{name}={value}" for name, value in said(config).items()]
    return shlex.join(["python", "-m", f"experiments.{experiment}", *flags, *given])

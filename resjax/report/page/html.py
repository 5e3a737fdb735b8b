"""How every HTML page is made: from a template, with every value escaped and none forgotten."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from resjax.records.defaults import said

TEMPLATES = Path(__file__).parent / "templates"
MARKS = "●■▲◆▼✚"
"""The marks of networks in figures, for the text beside them."""


def render(template: str, **values: object) -> str:
    """The page of a template in `templates/`; a name that the template uses and nobody gave is an error."""
    # A command's --help, and whoever reads a record's words alone, does without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(marks=MARKS, **values)


def command_line(experiment: str, config: Mapping[str, object], *flags: str) -> str:
    """The command that runs an experiment again, from the flags that its record holds: those that are no default.

    Of one that was started in Python, the name of the function.
    """
    if called := config.get("python"):
        return f"{called}(...)  # in Python, with what the flags below say"
    given = [f"--{name}={value}" for name, value in said(config).items()]
    return shlex.join(["python", "-m", f"experiments.{experiment}", *flags, *given])

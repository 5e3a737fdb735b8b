"""How every HTML page is made: from a template, with every value escaped and none forgotten."""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: object) -> str:
    """The page of a template in `templates/`; a name that the template uses and nobody gave is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)

"""The public names of every room, read from its stub and its docstrings; `python -m tests.public_names` lists them in
resjax/README.md."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "resjax" / "README.md"
STABLE = ("resjax", "resjax.ops")
"""Rooms whose names are stable; the names of all others may change from one version to the next."""
MODULES = ("resjax.errors", "resjax.types", "resjax.functional")
"""Rooms that are one module; all others are packages whose names stand in `__init__.pyi`."""
HEADING, END = "## Public names\n", "\n## "


class PublicName(NamedTuple):
    """A name that others may use."""

    name: str
    module: str
    node: ast.AST
    """Its definition: of a function, a class or a value."""
    docstring: str

    @property
    def signature(self) -> str:
        """The name, and for functions their arguments; those with a default end in `=`."""
        if not isinstance(self.node, ast.FunctionDef):
            return self.name
        given = self.node.args
        positional = [*given.posonlyargs, *given.args]
        required = len(positional) - len(given.defaults)
        words = [each.arg + "=" * (place >= required) for place, each in enumerate(positional)]
        words += [f"*{given.vararg.arg}"] if given.vararg else ["*"] if given.kwonlyargs else []
        named = zip(given.kwonlyargs, given.kw_defaults, strict=True)
        words += [each.arg + "=" * (value is not None) for each, value in named]
        words += [f"**{given.kwarg.arg}"] if given.kwarg else []
        return f"{self.name}({', '.join(words)})"

    @property
    def sentence(self) -> str:
        """The first sentence of its docstring."""
        return first_sentence(self.docstring)


def rooms() -> list[str]:
    """Every room, `resjax` first, then the stable ones, then in alphabetical order."""
    packages = [".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("resjax/**/__init__.pyi")]
    return sorted([*packages, *MODULES], key=lambda room: (room not in STABLE, room))


def public_names(room: str) -> list[PublicName]:
    """The public names of a room in alphabetical order, whatever their case."""
    stub = path_of(room).with_suffix(".pyi")
    if stub.exists():
        imports = [node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom)]
        found = [(alias.name, f"{room}.{node.module}") for node in imports for alias in node.names]
    else:
        found = [(name, room) for name in ast.literal_eval(definitions(room)["__all__"][0].value)]
    names = [PublicName(name, module, *definitions(module)[name]) for name, module in found]
    return sorted(names, key=lambda each: each.name.lower())


def path_of(module: str) -> Path:
    """The file of a module or package."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def definitions(module: str) -> dict[str, tuple[ast.AST, str]]:
    """What a module defines by name, with its docstring: the string below it; empty if there is none."""
    body = ast.parse(path_of(module).read_text()).body
    found: dict[str, tuple[ast.AST, str]] = {}
    for node, after in zip(body, [*body[1:], ast.Pass()], strict=True):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node, ast.get_docstring(node) or ""
        for target in assigned(node):
            is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            found[target] = node, str(after.value.value) if is_text else ""
    return found


def assigned(node: ast.AST) -> Iterator[str]:
    """The names that an assignment gives a value."""
    for target in node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]:
        if isinstance(target, ast.Name):
            yield target.id


def first_sentence(docstring: str) -> str:
    """The first sentence of a docstring in one line, with its full stop."""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return re.split(r"(?<=\.)(?<!al\.)(?<! p\.) ", paragraph)[0]


def listed() -> str:
    """The tables of the guide: a section for each room, with a line for each name; those of `resjax` stand once."""
    top = {(each.name, each.module) for each in public_names("resjax")}
    sections = []
    for room in rooms():
        lines = [f"### {room}", "", first_sentence(ast.get_docstring(ast.parse(path_of(room).read_text())) or "")]
        names = public_names(room)
        own = [each for each in names if room == "resjax" or (each.name, each.module) not in top]
        if shared := [f"`{each.name}`" for each in names if each not in own]:
            lines[-1] += f" From above: {', '.join(shared)}."
        if own:
            lines += ["", "| name | what it is |", "| --- | --- |"]
            lines += [f"| `{each.signature}` | {each.sentence} |" for each in own]
        sections.append("\n".join(lines) + "\n")
    return "\n".join(sections)


def in_guide(text: str) -> tuple[str, str, str]:
    """The guide before, in and after the tables of public names."""
    before, rest = text.split(HEADING)
    intro, rest = rest.split("\n### ", 1)
    tables, mark, after = rest.partition(END)
    return f"{before}{HEADING}{intro}\n", f"### {tables}", mark + after


if __name__ == "__main__":
    before, _, after = in_guide(GUIDE.read_text())
    GUIDE.write_text(before + listed() + after)

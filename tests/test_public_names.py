"""Every public name is exported, documented, typed, and stands in the guide as the code has it."""

import ast
import importlib
import re
from collections.abc import Iterator

import pytest

from tests.public_names import GUIDE, MODULES, STABLE, PublicName, in_guide, listed, path_of, public_names, rooms

NAMES = [(room, each) for room in rooms() for each in public_names(room)]


def functions(each: PublicName) -> Iterator[tuple[ast.FunctionDef, str]]:
    """The function, or the public methods of the class, each with its docstring; a constructor has the class's."""
    if isinstance(each.node, ast.FunctionDef):
        yield each.node, each.docstring
    if isinstance(each.node, ast.ClassDef):
        for method in each.node.body:
            if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                yield method, (ast.get_docstring(method) or "") + each.docstring
            elif isinstance(method, ast.FunctionDef) and method.name in ("__init__", "__post_init__", "__call__"):
                yield method, (ast.get_docstring(method) or "") + each.docstring


def test_the_guide_lists_every_name_as_the_code_has_it():
    _, tables, _ = in_guide(GUIDE.read_text())
    assert tables == listed(), "python -m tests.public_names writes them anew"


def test_the_guide_says_once_which_names_are_stable():
    guide = GUIDE.read_text()
    assert guide.count("are stable") == 1 and "names of `resjax` and `resjax.ops` are stable" in guide
    assert STABLE == ("resjax", "resjax.ops") and {*STABLE, *MODULES} <= {*rooms()}


@pytest.mark.parametrize("room", rooms())
def test_a_room_exports_its_public_names_and_nothing_else(room):
    module = importlib.import_module(room)
    names = {each.name for each in public_names(room)}
    assert set(module.__all__) == names
    assert all(getattr(module, name, None) is not None for name in names)


def test_every_package_with_public_names_has_a_stub():
    for init in path_of("resjax").parent.rglob("__init__.py"):
        body = ast.parse(init.read_text()).body
        exports = any(isinstance(node, ast.ImportFrom) and any(each.asname for each in node.names) for node in body)
        # What resjax.ops is made of inside.
        assert not exports or init.parent.name == "onednn", init


def test_every_public_name_is_documented():
    assert [f"{room}.{each.name}" for room, each in NAMES if not each.sentence.endswith((".", ":", ")"))] == []


def test_every_public_function_has_types():
    untyped = []
    for room, each in NAMES:
        for function, _ in functions(each):
            given = function.args
            arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, *filter(None, [given.vararg, given.kwarg])]
            missing = [one.arg for one in arguments if one.annotation is None and one.arg not in ("self", "cls")]
            if missing or (function.returns is None and function.name not in ("__init__", "__exit__")):
                untyped.append(f"{room}.{each.name}.{function.name} {missing}")
    assert untyped == []


def test_what_a_public_function_raises_stands_in_its_docstring():
    silent = []
    for room, each in NAMES:
        for function, docstring in functions(each):
            raises = any(isinstance(node, ast.Raise) and node.exc is not None for node in ast.walk(function))
            if raises and not re.search(r"\bRaises\b", docstring):
                silent.append(f"{room}.{each.name}.{function.name}")
    assert silent == []

"""What a callable or an object of Python is, for records: a name, and a hash of its source and of the values in it."""

import ast
import functools
import hashlib
import inspect
import linecache
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import resjax

RECORDED = {"jax", "jaxlib", "flax", "numpy", "resjax"}
"""Packages whose version every record has: their sources are not looked into."""
_LIBRARIES = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_LIBRARIES.append(Path(resjax.__file__).parent)


class Source(NamedTuple):
    """Where something of a caller's comes from, equal in every process that has the same source and values."""

    origin: str
    """`module:name` of a function or class, or of an object's class."""
    sha256: str

    def __str__(self) -> str:
        return f"{self.origin} sha256:{self.sha256[:16]}"


def source_of(value: Any) -> Source:
    """The name and the hash of a function, a class, or an object that may hold functions.

    The hash covers the text of functions and classes without comments, what they name in their own package and outside
    of installed ones, their defaults, and the values that they are closed over: `optax.adam(1e-3)` and
    `optax.adam(1e-2)` differ.

    >>> def scaled(factor):
    ...     return lambda images: factor * images
    >>> source_of(scaled(2)) == source_of(scaled(2)), source_of(scaled(2)) == source_of(scaled(3))
    (True, False)
    """
    root = _root(value)
    package = _package(root)
    described = _Describing({package} - RECORDED).describe(value)
    name = f"{getattr(root, '__module__', '?')}:{getattr(root, '__qualname__', type(root).__name__)}"
    return Source(name, hashlib.sha256(repr(described).encode()).hexdigest())


def _root(value: Any) -> Any:
    """The function or class that an object is called after."""
    if isinstance(value, functools.partial):
        return _root(value.func)
    if isinstance(value, types.MethodType):
        return _root(value.__func__)
    if hasattr(value, "__wrapped__"):
        return _root(value.__wrapped__)
    if isinstance(value, tuple) and value and callable(value[0]):
        return _root(value[0])
    return value if isinstance(value, types.FunctionType | types.BuiltinFunctionType | type) else type(value)


def _package(value: Any) -> str:
    return str(getattr(value, "__module__", None) or "").partition(".")[0]


class _Describing:
    """Turns an object into nested lists of texts. What comes again is named by its number."""

    def __init__(self, followed: set[str]):
        self._followed = followed
        """Packages whose functions are looked into, although they are installed."""
        self._seen: list[Any] = []

    def describe(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.dtype | np.generic):
            return repr(value)
        if isinstance(value, jax.Array | np.ndarray):
            return _of_array(value)
        if isinstance(value, dict):
            return ["dict", *sorted([repr(key), self.describe(each)] for key, each in value.items())]
        if isinstance(value, set | frozenset):
            return ["set", *sorted(repr(self.describe(each)) for each in value)]
        if isinstance(value, tuple | list):
            return [type(value).__name__, *map(self.describe, value)]
        if isinstance(value, types.ModuleType):
            return value.__name__
        for number, known in enumerate(self._seen):
            if known is value:
                return f"again {number}"
        self._seen.append(value)
        if isinstance(value, functools.partial):
            return ["partial", *map(self.describe, (value.func, value.args, value.keywords))]
        if isinstance(value, types.MethodType):
            return ["method", *map(self.describe, (value.__func__, value.__self__))]
        if isinstance(value, type):
            return self._of_class(value)
        if isinstance(value, types.FunctionType):
            return self._of_function(value)
        if hasattr(value, "__wrapped__"):
            return ["wrapped", self.describe(value.__wrapped__)]
        if hasattr(value, "__dict__"):
            return ["object", self.describe(type(value)), self.describe(vars(value))]
        text = repr(value)
        # An address is another one in every process.
        return ["object", self.describe(type(value)), "" if " at 0x" in text else text]

    def _of_function(self, function: types.FunctionType) -> list[Any]:
        held = [_contents(cell) for cell in function.__closure__ or ()]
        values = [self.describe(each) for each in (function.__defaults__, function.__kwdefaults__, held)]
        name = f"{function.__module__}:{function.__qualname__}"
        if not self._is_looked_into(function):
            return ["function", name, *values]
        return ["function", _text_of_code(function.__code__), *values, *self._named(function)]

    def _of_class(self, kind: type) -> list[Any]:
        name = f"{kind.__module__}:{kind.__qualname__}"
        if not self._is_looked_into(kind):
            return ["class", name]
        functions = [function for each in vars(kind).values() for function in _functions_of(each)]
        bases = [self.describe(base) for base in kind.__bases__ if base is not object]
        return ["class", _text_of_class(kind), *bases, *(text for each in functions for text in self._named(each))]

    def _named(self, function: types.FunctionType) -> list[Any]:
        """What the function names outside of itself and decides what it does: functions, classes and constants."""
        found, known = [], function.__globals__
        names = dict.fromkeys(_names(function.__code__))
        for name in names:
            value = known.get(name)
            if isinstance(value, types.ModuleType) and self._is_looked_into(value):
                own = [vars(value).get(inner) for inner in names]
                found += [self.describe(each) for each in own if self._matters(each)]
            elif self._matters(value):
                found.append(self.describe(value))
        return found

    def _matters(self, value: Any) -> bool:
        if isinstance(value, types.FunctionType | type):
            return self._is_looked_into(value)
        if isinstance(value, tuple):
            return all(self._matters(each) for each in value)
        return isinstance(value, bool | int | float | str) or (
            hasattr(value, "__wrapped__") and self._matters(value.__wrapped__)
        )

    def _is_looked_into(self, value: Any) -> bool:
        name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None) or ""
        package = name.partition(".")[0]
        if package in self._followed:
            return True
        file = getattr(sys.modules.get(name), "__file__", None)
        if package in RECORDED or package in sys.builtin_module_names:
            return False
        return file is None or not any(Path(file).is_relative_to(library) for library in _LIBRARIES)


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # It is filled later.
        return None


def _of_array(value: Any) -> list[Any]:
    if jax.numpy.issubdtype(value.dtype, jax.dtypes.prng_key):
        value = jax.random.key_data(value)
    array = np.asarray(value)
    return ["array", str(array.dtype), array.shape, hashlib.sha256(array.tobytes()).hexdigest()]


def _functions_of(member: Any) -> Iterator[types.FunctionType]:
    if isinstance(member, property):
        members = [member.fget, member.fset]
    else:
        members = [getattr(member, "__func__", getattr(member, "__wrapped__", member))]
    yield from (each for each in members if isinstance(each, types.FunctionType))


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _text_of_code(code: types.CodeType) -> str:
    """The text of a function without comments; its instructions where there is no text."""
    linecache.checkcache(code.co_filename)
    found = _functions_by_line("".join(linecache.getlines(code.co_filename))).get(code.co_firstlineno)
    return found or repr(
        (code.co_code, code.co_names, [each for each in code.co_consts if not hasattr(each, "co_code")])
    )


@functools.lru_cache(maxsize=32)
def _functions_by_line(text: str) -> Mapping[int, str]:
    """The functions that begin in each line; several lambdas of one line count together."""
    found: dict[int, str] = {}
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # No file of Python, or one that has changed since.
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
        elif isinstance(node, ast.Lambda):
            first = node.lineno
        else:
            continue
        found[first] = f"{found.get(first, '')}{ast.unparse(node)}\n"
    return found


def _text_of_class(kind: type) -> str:
    """The text of a class without comments; the instructions of its functions where there is no text."""
    try:
        return ast.unparse(ast.parse(inspect.cleandoc(f"\n{inspect.getsource(kind)}")))
    except (OSError, TypeError, SyntaxError):
        return "".join(_text_of_code(each.__code__) for member in vars(kind).values() for each in _functions_of(member))

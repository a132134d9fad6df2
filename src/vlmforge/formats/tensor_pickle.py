"""The pickle of a TorchScript module with a tensor, read as data.

A pickle is a program for a stack machine. This reader knows the few operations that describe a
module and a tensor, refuses every other, and calls nothing: what a pickle would import is
compared with a list and stands for itself.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from vlmforge.errors import FormatError

MAX_OPERATIONS: Final = 4096
"""Most operations; a module with one tensor has about a hundred."""

DTYPES: Final = {"torch DoubleStorage": "float64", "torch FloatStorage": "float32"}
REBUILD: Final = "torch._utils _rebuild_tensor_v2"
EMPTY: Final = "collections OrderedDict"
MODULE: Final = "__torch__"
LARGEST: Final = 1 << 63


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that lies in a storage of the archive.

    Attributes:
        dtype: ``"float32"`` or ``"float64"``.
        storage: name of the member that holds it, below ``data/``.
        elements: of the storage.
        offset: of the first element, in elements.
        shape, strides: in elements.
    """

    dtype: str
    storage: str
    elements: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass
class Module:
    """A module of whatever class, with its attributes once they are known."""

    attributes: dict[str, Any] | None = None


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Storage:
    dtype: str
    name: str
    elements: int


class _Mark:
    pass


def read_module(pickle: bytes) -> Module:
    """The module that the pickle describes.

    Raises:
        FormatError: the pickle does something besides describing a module with tensors.
    """
    reader = _Reader()
    try:
        for count, (operation, argument, at) in enumerate(pickletools.genops(pickle)):
            if count == MAX_OPERATIONS:
                raise FormatError(f"it has more than {MAX_OPERATIONS} operations")
            if operation.name == "STOP" and at != len(pickle) - 1:
                raise FormatError("it goes on behind its end")
            reader.apply(operation.name, argument)
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise FormatError(f"it cannot be read: {error}") from error
    (result,) = reader.stack if len(reader.stack) == 1 else (None,)
    if not isinstance(result, Module):
        raise FormatError("it does not describe a module")
    return result


class _Reader:
    """The stack and the memory of the machine."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memory: dict[int, Any] = {}

    def apply(self, operation: str, argument: Any) -> None:
        if operation in _VALUES:
            self.stack.append(_VALUES[operation](argument))
        elif operation in _STEPS:
            _STEPS[operation](self, argument)
        else:
            raise FormatError(f"its operation {operation} is not one of a tensor's")

    def protocol(self, version: int) -> None:
        if version != 2:
            raise FormatError(f"its protocol is {version}, not 2")

    def keep(self, place: int) -> None:
        self.memory[place] = self.stack[-1]

    def recall(self, place: int) -> None:
        self.stack.append(self.memory[place])

    def items(self) -> tuple[Any, ...]:
        """What lies above the last mark, which goes as well."""
        marks = [i for i, value in enumerate(self.stack) if isinstance(value, _Mark)]
        found = tuple(self.stack[marks[-1] + 1 :])
        del self.stack[marks[-1] :]
        return found

    def tuple_of(self, count: int) -> None:
        if any(isinstance(value, _Mark) for value in self.stack[-count:]):
            raise FormatError("it takes what is not there")
        self.stack[-count:] = [tuple(self.stack[-i] for i in range(count, 0, -1))]

    def set_items(self, items: tuple[Any, ...]) -> None:
        table = self.stack[-1]
        if type(table) is not dict or len(items) % 2:
            raise FormatError("it sets items of what is no table")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str) or key in table:
                raise FormatError("a key of a table is no text, or occurs twice")
            table[key] = value

    def set_item(self) -> None:
        *_, key, value = self.stack
        del self.stack[-2:]
        self.set_items((key, value))

    def append(self, items: tuple[Any, ...]) -> None:
        if type(self.stack[-1]) is not list:
            raise FormatError("it appends to what is no list")
        self.stack[-1].extend(items)

    def storage(self) -> None:
        kind, dtype, name, device, elements = self.stack.pop()
        known = isinstance(dtype, _Global) and dtype.name in DTYPES and device == "cpu"
        if kind != "storage" or not known or not isinstance(name, str) or not _is_size(elements):
            raise FormatError("a storage is not one of float32 or float64 on the CPU")
        self.stack.append(_Storage(DTYPES[dtype.name], name, elements))

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if function == _Global(EMPTY) and arguments == ():
            self.stack.append(None)
        elif function == _Global(REBUILD) and isinstance(arguments, tuple):
            self.stack.append(_tensor(*arguments))
        else:
            raise FormatError("it calls what makes no tensor")

    def new_object(self) -> None:
        arguments, kind = self.stack.pop(), self.stack.pop()
        if not isinstance(kind, _Global) or not _is_module(kind.name) or arguments != ():
            raise FormatError("it makes an object that is no module")
        self.stack.append(Module())

    def build(self) -> None:
        attributes, module = self.stack.pop(), self.stack[-1]
        fits = isinstance(module, Module) and module.attributes is None
        if not fits or type(attributes) is not dict:
            raise FormatError("it gives attributes to what is no module")
        module.attributes = attributes


def _global(name: str) -> _Global:
    if name not in (*DTYPES, REBUILD, EMPTY) and not _is_module(name):
        raise FormatError(f"it names {name.replace(' ', '.')!r}, which no tensor needs")
    return _Global(name)


def _is_module(name: str) -> bool:
    return name.split(" ")[0].split(".")[0] == MODULE


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < LARGEST


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, gradient: Any, hooks: Any, *more: Any
) -> StoredTensor:
    sizes = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or len(shape) != len(strides) or more or hooks is not None:
        raise FormatError("a tensor is not made as a plain one is")
    if not all(map(_is_size, sizes)) or not isinstance(gradient, bool):
        raise FormatError("the sizes of a tensor are not sizes")
    return StoredTensor(storage.dtype, storage.name, storage.elements, offset, shape, strides)


_VALUES: Final[dict[str, Callable[[Any], Any]]] = {
    **dict.fromkeys(("BININT", "BININT1", "BININT2", "LONG1"), lambda number: number),
    **dict.fromkeys(("BINUNICODE", "BINFLOAT"), lambda value: value),
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "NONE": lambda _: None,
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: {},
    "EMPTY_LIST": lambda _: [],
    "MARK": lambda _: _Mark(),
    "GLOBAL": _global,
}
"""Operations that put a value on the stack."""

_STEPS: Final[dict[str, Callable[[_Reader, Any], None]]] = {
    "PROTO": _Reader.protocol,
    "BINPUT": _Reader.keep,
    "LONG_BINPUT": _Reader.keep,
    "BINGET": _Reader.recall,
    "LONG_BINGET": _Reader.recall,
    "TUPLE": lambda self, _: self.stack.append(self.items()),
    "TUPLE1": lambda self, _: self.tuple_of(1),
    "TUPLE2": lambda self, _: self.tuple_of(2),
    "TUPLE3": lambda self, _: self.tuple_of(3),
    "SETITEM": lambda self, _: self.set_item(),
    "SETITEMS": lambda self, _: self.set_items(self.items()),
    "APPEND": lambda self, _: self.append((self.stack.pop(),)),
    "APPENDS": lambda self, _: self.append(self.items()),
    "BINPERSID": lambda self, _: self.storage(),
    "REDUCE": lambda self, _: self.reduce(),
    "NEWOBJ": lambda self, _: self.new_object(),
    "BUILD": lambda self, _: self.build(),
    "STOP": lambda self, _: None,
}
"""Operations on what lies there."""

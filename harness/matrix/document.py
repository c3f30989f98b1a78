"""YAML as plain data, and the way back: from a value's path to its line and column.

Scalars are those of YAML 1.2 (`yes` and `0000:01:00.0` are texts, not True and 60.0), as editors read them. Size,
depth and aliases are bounded, so that no file can hang or exhaust the program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import MatrixError

MAX_BYTES = 64 * 1024
MAX_DEPTH = 32
MAX_VALUES = 5_000

Steps = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_SCALARS = {
    "null": re.compile(r"(~|null|Null|NULL|)\Z"),
    "bool": re.compile(r"(true|True|TRUE|false|False|FALSE)\Z"),
    "int": re.compile(r"[-+]?[0-9]{1,1000}\Z"),
    "float": re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z"),
}


class _Loader(yaml.SafeLoader):
    """Composes nodes, with the scalars of YAML 1.2 and a limit on depth (the composer recurses)."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - PyYAML's
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # the stubs lack its type
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {MAX_DEPTH}", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1
for _name, _pattern in _SCALARS.items():
    _Loader.add_implicit_resolver(_TAG + _name, _pattern, None)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A YAML file: its nodes, its plain data, and errors located in it."""

    file: str
    root: yaml.Node
    data: Any

    def error(self, path: Sequence[str | int], problem: str, *, at_key: bool = False) -> MatrixError:
        """Return the error for the value (or its key) at `path`.

        Steps of `path` that the file does not have are left out: the error is then at the value that lacks them.
        """
        line, column = self.position(path, at_key=at_key)
        name = dotted(self._walk(path)[0])
        return located(self.file, line, column, f"{name}: {problem}" if name else problem)

    def position(self, path: Sequence[str | int], *, at_key: bool = False) -> tuple[int, int]:
        """Return line and column, from 1, of the value (or its key) at `path`."""
        _, key, value = self._walk(path)
        mark = (key if at_key else value).start_mark
        return mark.line + 1, mark.column + 1

    def _walk(self, path: Sequence[str | int]) -> tuple[list[str | int], yaml.Node, yaml.Node]:
        steps: list[str | int] = []
        key = value = self.root
        for step in path:
            found = _child(value, step)
            if found is not None:
                key, value = found
                steps.append(step)
        return steps, key, value


def located(file: str, line: int, column: int, problem: str) -> MatrixError:
    """Return the error in its one form, `file:line:column: problem`."""
    return MatrixError(f"{file}:{line}:{column}: {problem}")


def read(path: Path) -> Document:
    """Read a YAML file. Raises MatrixError when it cannot be read or is not plain YAML in UTF-8."""
    file = str(path)
    try:
        if not path.is_file():
            raise located(file, 1, 1, "no such file; name another with -m FILE")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise located(file, 1, 1, f"cannot be read: {error}; name another with -m FILE") from error
    if len(content) > MAX_BYTES:
        raise located(file, 1, 1, f"longer than {MAX_BYTES // 1024} KiB: not a matrix")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise located(file, line, 1, f"not UTF-8 ({error.reason}); save the file as UTF-8") from error
    return parse(text, file)


def parse(text: str, file: str) -> Document:
    """Parse YAML; `file` is its name in errors. Raises MatrixError."""
    root = _compose(text, file)
    if root is None:
        raise located(file, 1, 1, "the file is empty; a matrix begins with schema: 1")
    return Document(file=file, root=root, data=_Plain(file).value(root))


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as errors show it: `profiles.quick.tasks[2]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{shown(step)}"
    return text.removeprefix(".")


def shown(text: str) -> str:
    """Return a text of the file as an error may show it: short, on one line, without control characters."""
    short = text if len(text) <= 60 else text[:59] + "…"
    return short if short.isprintable() and short.strip() == short != "" else repr(short)


def _compose(text: str, file: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line, column = _line_and_column(text, error.position)
        raise located(file, line, column, f"the character U+{ord(text[error.position]):04X} is not allowed") from error
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark or loader.get_mark()
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        raise located(file, mark.line + 1, mark.column + 1, f"not YAML: {problem}") from error
    except (ValueError, OverflowError) as error:  # an escape such as "\U99999999", a version of 5000 digits
        mark = loader.get_mark()
        raise located(file, mark.line + 1, mark.column + 1, f"not YAML: {error}") from error


def _line_and_column(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return the key's and the value's node; of a list's item, the item twice."""
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


class _Plain:
    """Turns nodes into plain data; counts the values, since aliases multiply them."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._count = 0

    def value(self, node: yaml.Node, path: Steps = ()) -> Any:  # noqa: ANN401 - whatever YAML holds
        self._count += 1
        if self._count > MAX_VALUES or len(path) > MAX_DEPTH:
            raise self._error(
                node, (), f"aliases counted, this is deeper than {MAX_DEPTH} or more than {MAX_VALUES} values"
            )
        if isinstance(node, yaml.MappingNode):
            self._expect_tag(node, path, "map")
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._expect_tag(node, path, "seq")
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Steps) -> dict[str, Any]:
        result: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key in result:
                raise self._error(key_node, (*path, key), f"the key is already in line {lines[key]}; remove one")
            lines[key] = key_node.start_mark.line + 1
            result[key] = self.value(value_node, (*path, key))
        return result

    def _key(self, node: yaml.Node, path: Steps) -> str:
        key = self._scalar(node, path) if isinstance(node, yaml.ScalarNode) else None
        if not isinstance(key, str):
            raise self._error(node, path, "a key must be a text; put it in quotes")
        return key

    def _scalar(self, node: yaml.Node, path: Steps) -> str | int | float | bool | None:
        text = str(node.value)
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            return self._text(node, path, text)
        pattern = _SCALARS.get(kind)
        if pattern is None or not pattern.match(text):
            raise self._error(node, path, f"{shown(text)} cannot be read as {shown(node.tag)}; remove the tag")
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        return int(text) if kind == "int" else float(text)

    def _text(self, node: yaml.Node, path: Steps, text: str) -> str:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # half a surrogate pair, by an escape
            raise self._error(node, path, "a text with a broken escape; write the character itself") from None
        return text

    def _expect_tag(self, node: yaml.Node, path: Steps, kind: str) -> None:
        if node.tag != _TAG + kind:
            raise self._error(node, path, f"the tag {shown(node.tag)} has no meaning here; remove it")

    def _error(self, node: yaml.Node, path: Steps, problem: str) -> MatrixError:
        mark = node.start_mark
        text = f"{dotted(path)}: {problem}" if path else problem
        return located(self._file, mark.line + 1, mark.column + 1, text)

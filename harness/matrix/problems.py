"""pydantic's errors, in the words of matrix.yaml: what was found and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from harness.matrix.document import Document, shown
from harness.matrix.model import KINDS, NAME, Blocks, Matrix, Model, Profile, StackConfig, allowed_keys

MAX_CHOICES = 20
Loc = tuple[str | int, ...]

_EXPECTED = {
    "string_type": "a text is expected",
    "int_type": "a whole number is expected",
    "int_from_float": "a whole number is expected",
    "float_type": "a number is expected",
    "bool_type": "true or false is expected",
    "dict_type": "a mapping is expected",
    "model_type": "a mapping is expected",
    "model_attributes_type": "a mapping is expected",
    "list_type": "a list is expected",
    "finite_number": "a finite number is expected",
    "too_short": "at least one entry is expected",
    "string_too_short": "a text that is not empty is expected",
}
_BOUNDS = {
    "greater_than": ("gt", "above"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "below"),
    "less_than_equal": ("le", "at most"),
}
_NAME_RULE = "a name is made of lower-case letters, digits, '.', '_' and '-', begins with a letter or digit, up to 64"


def explain(document: Document, error: ErrorDetails) -> tuple[Loc, str, bool]:
    """Return where an error is, what to tell, and whether the key is at fault rather than the value."""
    loc = _in_file(error["loc"])
    if error["type"] == "extra_forbidden":
        return loc, f"unknown key; {choices(str(loc[-1]), _allowed(document, loc))}", True
    if error["type"] == "union_tag_invalid":
        return (*loc, "kind"), f"one of {', '.join(KINDS)} is expected, found {found(error['input']['kind'])}", False
    if loc[-1:] == ("[key]",):
        return loc[:-1], _expected(loc[:-1], error), True
    return loc, _value_problem(loc, error), False


def choices(name: str, allowed: Iterable[str]) -> str:
    """Return the hint after an unknown name: the nearest ones, and all that are allowed."""
    names = list(allowed)
    near = get_close_matches(name[:100], names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    more = ", …" if len(names) > MAX_CHOICES else ""
    return f"{hint}allowed: {', '.join(names[:MAX_CHOICES]) or 'none'}{more}"


def found(value: object) -> str:
    """Return a value as an error shows it."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return str(value).lower()
        case str():
            return shown(repr(value))
        case _:
            return shown(str(value))


def _in_file(loc: Sequence[str | int]) -> Loc:
    """Drop the steps that pydantic adds: the kind of a platform."""
    if loc[:1] == ("platforms",) and len(loc) > 3:
        return (*loc[:2], *loc[3:])
    return tuple(loc)


def _allowed(document: Document, loc: Loc) -> list[str]:
    models: dict[str, type[Model]] = {"stacks": StackConfig, "profiles": Profile}
    match loc:
        case (_,):
            return allowed_keys(Matrix)
        case ("platforms", name, _):
            return allowed_keys(KINDS[document.data["platforms"][name]["kind"]])
        case ("profiles", _, "blocks", _):
            return allowed_keys(Blocks)
        case _:
            return allowed_keys(models[str(loc[0])])


def _value_problem(loc: Loc, error: ErrorDetails) -> str:
    if error["type"] == "missing":
        return f"the key {loc[-1]} is missing"
    if error["type"] == "union_tag_not_found":
        return f"the key kind is missing; allowed: {', '.join(KINDS)}"
    value = error["input"]
    if error["type"] == "value_error" and isinstance(value, dict):  # a rule on the mapping as a whole says it all
        return str(error["ctx"]["error"])
    if error["type"] in {"too_short", "string_too_short"}:
        return _EXPECTED[error["type"]]
    expected = _expected(loc, error)
    unquoted = expected == _EXPECTED["string_type"] and isinstance(value, (int, float))
    return f"{expected}, found {found(value)}{'; put it in quotes' if unquoted else ''}"


def _expected(loc: Loc, error: ErrorDetails) -> str:
    context: dict[str, Any] = error.get("ctx", {})
    kind = error["type"]
    if loc[:1] == ("tasks",) and len(loc) > 3:
        return "a text, a number, true or false is expected"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"a number {words} {context[key]:g} is expected"
    if kind == "literal_error":
        return f"{context['expected']} is expected"
    if kind == "string_pattern_mismatch":
        return _NAME_RULE if context["pattern"] == NAME else f"a text of the form {context['pattern']} is expected"
    if kind == "value_error":
        return str(context["error"])
    return _EXPECTED.get(kind, error["msg"])

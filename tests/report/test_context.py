"""The templates use the whole context and nothing else (StrictUndefined holds the second half)."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import jinja2
import pytest

from harness.analysis.document import Document
from harness.report import answer, capability, claims, contents, context, page, parts, picture, table, tails
from harness.report.build import environment, render
from harness.report.one_sided import MOST_LINES
from tests.report.conftest import lonely
from tests.report.full import full


def test_every_field_of_the_context_is_used(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[tuple[type, str]] = set()
    original = jinja2.Environment.getattr

    def recording(self: jinja2.Environment, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - as jinja's own
        used.add((type(obj), attribute))
        return original(self, obj, attribute)

    monkeypatch.setattr(jinja2.Environment, "getattr", recording)
    document["comparisons"][0]["comparable"] = False
    document["run"]["looks"] = 3
    document["run"]["blocks"] = 2
    document["run"]["plan"]["blocks"] = {"min": 2, "max": 3}
    document["run"]["plan"]["budget"] = 60.0
    document["claims"][0]["evidence"] = ["seen"]
    document["unmatched"] = [
        lonely("docker", f"task.{number}", "step_seconds", "no block") for number in range(MOST_LINES + 1)
    ]
    monkeypatch.setattr(table, "MOST_ROWS", 4)
    document["headlines"][1]["comparison"] = None
    document["comparisons"][document["headlines"][0]["comparison"] or 0]["ci95"] = [None, None]
    render(document)
    document["run"]["boots"] *= 2
    document["comparisons"][1]["paired"] = False
    render(document)
    for module, name in ((capability, "MOST_ROWS"), (tails, "MOST_REGRESSIONS"), (tails, "MOST_EXCLUSIONS")):
        monkeypatch.setattr(module, name, 1)
    monkeypatch.setattr(answer, "MOST_DRAWN", 2)
    monkeypatch.setattr(claims, "MOST_BEARING", 2)
    monkeypatch.setattr(page, "MOST_RANKED", 1)
    monkeypatch.setattr(picture, "MOST_LINES", 2)
    render(full(document))
    documented = {
        (kind, field.name)
        for module in (context, contents, parts)
        for kind in vars(module).values()
        if is_dataclass(kind) and isinstance(kind, type) and kind.__module__ == module.__name__
        for field in fields(kind)
    }
    assert documented - used == set()


def test_a_name_that_is_not_in_the_context_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        environment().from_string("{{ page.nonsense }}").render(page=object())


def test_everything_is_escaped() -> None:
    assert environment().from_string("{{ x }}").render(x="<b>\"'") == "&lt;b&gt;&#34;&#39;"

"""The templates use the whole context and nothing else (StrictUndefined holds the second half)."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import jinja2
import pytest

from harness.analysis.document import Document
from harness.report import context
from harness.report.build import environment, render


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
    document["claims"][0]["evidence"] = ["seen"]
    document["headlines"][1]["comparison"] = None
    document["comparisons"][document["headlines"][0]["comparison"] or 0]["ci95"] = [None, None]
    render(document)
    document["run"]["boots"] *= 2
    document["comparisons"][1]["paired"] = False
    render(document)
    documented = {
        (kind, field.name)
        for kind in vars(context).values()
        if is_dataclass(kind) and isinstance(kind, type) and kind.__module__ == context.__name__
        for field in fields(kind)
    }
    assert documented - used == set()


def test_a_name_that_is_not_in_the_context_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        environment().from_string("{{ page.nonsense }}").render(page=object())


def test_everything_is_escaped() -> None:
    assert environment().from_string("{{ x }}").render(x="<b>\"'") == "&lt;b&gt;&#34;&#39;"

"""The environments side by side."""

from __future__ import annotations

from harness.report.facts import MOST_FACTS, environment, values


def test_a_property_loses_its_source_and_keeps_its_value() -> None:
    assert values({"a.b.value": "1", "a.b.source": "/proc", "a.c.source": "/sys", "a.c.error": "no"}) == {"a.b": "1"}
    assert values({"a.m.value.x": "1", "a.m.source": "/sys"}) == {"a.m.x": "1"}
    assert values({"a.b": "1", "a.error": "kept: it has no source beside it"}) == {
        "a.b": "1",
        "a.error": "kept: it has no source beside it",
    }


def test_the_baseline_comes_first_and_what_differs_from_it_is_marked() -> None:
    found = environment(
        {"docker": {"v": "2", "same": "x"}, "native": {"v": "1", "same": "x"}, "twin": {"v": "1"}, "absent": {}},
        {"v": {}},
        "native",
    )
    assert found.platforms == ("native", "docker", "twin")
    (fact,) = found.differing
    assert (fact.name, fact.values, fact.changed) == ("v", ("1", "2", "1"), (False, True, False))
    assert [fact.differs for fact in found.facts] == [False, True]


def test_a_difference_that_the_analysis_does_not_count_is_not_marked() -> None:
    found = environment({"native": {"boot_id": "1"}, "docker": {"boot_id": "2"}}, {}, "native")
    assert not found.differing
    assert not any(found.facts[0].changed)


def test_differences_are_found_under_the_name_with_its_value() -> None:
    environments = {"native": {"v.value": "1", "v.source": "s"}, "docker": {"v.value": "2", "v.source": "s"}}
    assert [fact.name for fact in environment(environments, {"v.value": {}}, "native").differing] == ["v"]


def test_an_endless_inspection_is_cut_and_the_rest_counted() -> None:
    many = {f"key{number:05}": "1" for number in range(MOST_FACTS + 7)}
    assert environment({"native": many}, {}, "native").left_out == 7

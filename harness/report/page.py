"""From report.json's document to the page's context: what is said, in which order, and how much of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from harness.analysis.document import (
    BootSummary,
    CapabilityRecord,
    ClaimRecord,
    ComparisonRecord,
    DistributionRecord,
    Document,
)
from harness.analysis.primary import STEP
from harness.matrix.cells import SECOND_ARM
from harness.report.charts import NARROW, WIDE, Arm, forest, strip
from harness.report.context import Assets, Banner, Boot, Claim, Forest, Gap, Headline, Page, Panel, Run, Subject
from harness.report.facts import environment, values
from harness.report.one_sided import one_sided
from harness.report.table import fair, finding, forest_rows, lead, table, telling_dims
from harness.report.words import LEGEND, clean, dims_words

FEW_BLOCKS = 5
MOST_PLATFORMS = 12
MOST_FINDINGS = 8  # per platform, beside the headline
MOST_GAPS = 60
MOST_CELLS = 12  # named in a gap
MOST_PANELS = 6
MOST_ARMS = 8
MOST_EVIDENCE = 12
MOST_CLAIMS = 30
MOST_WARNINGS = 40
MOST_BOOTS = 40
_STAND_IN = ("stand_in", "simulated")
YES = ("true", "True", "yes", "1")
_CLAIM_STYLES = {"supported": "supported", "refuted": "refuted", "depends": "depends"}


def page(document: Document, assets: Assets) -> Page:
    """Compose the page. Raises KeyError where the document is not of this schema."""
    subject = subject_of(document)
    gaps = _gaps(document["capabilities"])
    return Page(
        title=f"Overhead Matrix: {subject.cpu}",
        subject=subject,
        baseline=clean(document["baseline"], 60),
        run=_run(document),
        banners=tuple(_banners(document)),
        headlines=tuple(_headlines(document)),
        not_measured=tuple(_not_measured(document)),
        forest=_forest(document),
        spread=tuple(_spread(document["distributions"], document["platforms"])),
        legend=LEGEND,
        table=table(document["comparisons"], document["platforms"]),
        one_sided=tuple(one_sided(document["unmatched"])[:MOST_PLATFORMS]),
        gaps=tuple(gaps[:MOST_GAPS]),
        gaps_left_out=max(len(gaps) - MOST_GAPS, 0),
        environment=environment(document["environments"], document["differences"], document["baseline"]),
        claims=tuple(map(_claim, document["claims"][:MOST_CLAIMS])),
        warnings=tuple(clean(warning) for warning in document["warnings"][:MOST_WARNINGS]),
        assets=assets,
    )


def subject_of(document: Document) -> Subject:
    """The machine, as a title names it."""
    host = values(document["run"]["host"]) or values(document["environments"].get(document["baseline"], {}))
    model = host.get("cpu.model", "an unnamed CPU").replace("(R)", "").replace("(TM)", "")
    system = " · ".join(part for part in (host.get("system.release", ""), host.get("system.kernel", "")) if part)
    gpus = dict.fromkeys(clean(gpu.get("name", "a GPU without a name"), 80) for gpu in document["run"]["gpus"])
    return Subject(
        cpu=clean(" ".join(model.split()), 80),
        cores=clean(host.get("cpu.logical", ""), 10),
        gpus=tuple(gpus)[:4],
        system=clean(system or "an unnamed system", 120),
    )


def _run(document: Document) -> Run:
    run = document["run"]
    profile, name = clean(run["profile"], 60), clean(run["id"], 120)
    return Run(
        id=name,
        created=clean(run["created"], 60),
        profile=profile,
        seed=run["seed"],
        tool_version=clean(run["tool_version"], 40),
        blocks=run["blocks"],
        invocations=run["invocations"],
        samples=run["samples"],
        seconds=run["seconds"],
        looks=run["looks"],
        interval_level=run["interval_level"],
        precision=run["precision"],
        fingerprint=clean(run["fingerprint"], 80),
        boot_id=clean(run["boot_id"], 80),
        run_command=f"nox -s matrix -- --profile {shlex.quote(profile)} --seed {run['seed']}",
        boots=tuple(_boot(boot) for boot in run["boots"][:MOST_BOOTS]),
        report_command=f"nox -s report -- {' '.join(shlex.quote(f'results/{boot}') for boot in _ids(document))}",
    )


def _ids(document: Document) -> Iterable[str]:
    return (clean(boot["run_id"], 120) for boot in document["run"]["boots"])


def _boot(boot: BootSummary) -> Boot:
    return Boot(
        number=boot["number"],
        run_id=clean(boot["run_id"], 120),
        boot_id=clean(boot["boot_id"] or "not told", 80),
        created=clean(boot["created"], 60),
        system=clean(boot["system"], 20),
        seed=boot["seed"],
        blocks=boot["blocks"],
        platforms=tuple(clean(name, 60) for name in boot["platforms"][:MOST_PLATFORMS]),
    )


def _banners(document: Document) -> Iterable[Banner]:
    """What to know first, the gravest first."""
    yield from _stand_in(document)
    yield from _incomparable(document)
    if not document["comparisons"]:
        yield Banner(
            tone="caution",
            title="Nothing to compare",
            text=f"Only {clean(document['baseline'], 60)} was measured. What did not run, and why, is listed below.",
        )
    elif document["run"]["blocks"] < FEW_BLOCKS:
        number = document["run"]["blocks"]
        noun = "block" if number == 1 else "blocks"
        yield Banner(
            tone="caution",
            title=f"{number} {noun}: a smoke test",
            text="It shows that everything runs. Intervals are wide; draw no conclusion from small differences.",
        )
    yield from _nested(document)


def alerts(document: Document) -> tuple[Banner, ...]:
    """What nobody may miss who sees but a few of the document's figures."""
    return (*_stand_in(document), *_incomparable(document))


def _stand_in(document: Document) -> Iterable[Banner]:
    marked = dict.fromkeys(_stand_ins(document))
    if marked:
        yield Banner(
            tone="alert",
            title="A stand-in, not real hardware",
            text=f"Something simulated or emulated took part in this run ({'; '.join(marked)}). Its figures test the "
            "tool and describe neither hardware nor a platform.",
        )


def _stand_ins(document: Document) -> Iterable[str]:
    """Name what was a stand-in and, where it is told, for what."""
    for name, found in {"host": document["run"]["host"], **document["environments"]}.items():
        for key, value in values(found).items():
            if _marks_stand_in(key, value):
                yield clean(name, 60) if value in YES else f"{clean(name, 60)}: {clean(value, 120)}"
    for gpu in document["run"]["gpus"]:
        if any(_marks_stand_in(key, str(value)) for key, value in gpu.items()):
            yield clean(str(gpu.get("name", "a GPU")), 60)


def _marks_stand_in(key: str, value: str) -> bool:
    return key.rpartition(".")[2] in _STAND_IN and value.lower() not in ("", "0", "false", "no", "none")


def _incomparable(document: Document) -> Iterable[Banner]:
    for platform in document["platforms"]:
        own = [r for r in document["comparisons"] if r["platform"] == platform]
        unlike = [r for r in own if not r["comparable"]]
        if unlike:
            name, baseline = clean(platform, 60), clean(unlike[0]["baseline"], 60)
            part = "" if len(unlike) == len(own) else f"{len(unlike)} of {len(own)} comparisons: "
            yield Banner(
                tone="alert",
                title=f"{part}{name} is not comparable with {baseline}",
                text=f"{clean(_why_unlike(unlike[0], document))}. "
                "Its slowdowns are shown, greyed, and count for no claim.",
            )


def _why_unlike(record: ComparisonRecord, document: Document) -> str:
    """A decisive difference; where there is none the control differs: the two did not get the same processor time."""
    found = [one for one in document["comparability"] if one["platform"] == record["platform"]]
    keys = tuple(f"{one['key']}: " for one in found if one["rank"] == "decisive")
    notes = record["confounders"]
    told = [note for note in notes if note.startswith(keys)] or [note for note in notes if "control" in note] or notes
    return told[0] if told else "The two sides differ"


def _nested(document: Document) -> Iterable[Banner]:
    host = values(document["run"]["host"]) or values(document["environments"].get(document["baseline"], {}))
    inside = [host.get(f"virtualization.{layer}", "") for layer in ("wsl", "machine", "container")]
    layers = [clean(layer, 40) for layer in inside if layer not in ("", "none", "no", "wsl")]  # systemd's word for WSL2
    if layers:
        yield Banner(
            tone="note",
            title=f"The host is itself virtual ({', '.join(layers)})",
            text=f"Here {clean(document['baseline'], 60)} means without a further layer, not bare metal.",
        )


def _headlines(document: Document) -> Iterable[Headline]:
    telling = telling_dims(document["comparisons"])
    main = {entry["platform"]: entry["comparison"] for entry in document["headlines"]}
    for name in [name for name in document["platforms"] if name != document["baseline"]][:MOST_PLATFORMS]:
        index = main.get(name)
        best = document["comparisons"][index] if index is not None else None
        others = [
            record for record in lead(r for r in document["comparisons"] if r["platform"] == name) if record is not best
        ]
        summary = document["platform_records"][name]
        if best is None and not summary["available"]:
            continue
        yield Headline(
            platform=clean(name, 60),
            kind=clean(summary["kind"], 20),
            baseline=clean(best["baseline"] if best else document["baseline"], 60),
            main=finding(best, telling) if best else None,
            others=tuple(finding(each, telling) for each in fair(others, MOST_FINDINGS)),
            reason=clean(summary["reason"]) or _no_headline(bool(others)),
        )


def _no_headline(probes: bool) -> str:
    return "No workload ran on both sides; the probes:" if probes else "No task ended well on both sides."


def _not_measured(document: Document) -> Iterable[str]:
    """Platforms that are not there, then tasks that ran nowhere or not everywhere, by name."""
    absent = [name for name, summary in document["platform_records"].items() if not summary["available"]]
    cells = dict.fromkeys(gap["what"] for gap in document["capabilities"] if gap["what"] != "platform")
    yield from (clean(name, 60) for name in absent[:MOST_PLATFORMS])
    yield from (clean(cell.rpartition("/")[2], 80) for cell in list(cells)[:MOST_FINDINGS])


def _forest(document: Document) -> Forest | None:
    groups = forest_rows(document["comparisons"], document["platforms"])
    if not groups:
        return None
    wide, narrow = (
        tuple(
            forest(platform, rows, layout, f"forest-{number}", f"Slowdowns of {platform} with their intervals")
            for number, (platform, rows) in enumerate(groups.items())
        )
        for layout in (WIDE, NARROW)
    )
    return Forest(wide=wide, narrow=narrow, left_out=len(document["comparisons"]) - sum(map(len, groups.values())))


def _spread(distributions: Sequence[DistributionRecord], platforms: Sequence[str]) -> Iterable[Panel]:
    """The workloads' steps, invocation by invocation; without a workload, nothing."""
    groups: dict[tuple[str, str, str, str], list[DistributionRecord]] = {}
    for record in distributions:
        if record["metric"] == STEP and record["medians"]:
            key = (record["task"], record["stack"], record["device"], dims_words(record["dims"]))
            groups.setdefault(key, []).append(record)
    for number, (key, group) in enumerate(list(groups.items())[:MOST_PANELS]):
        group.sort(key=lambda record: platforms.index(record["platform"].removesuffix(SECOND_ARM)))
        yield _panel(number, key, group[:MOST_ARMS])


def _panel(number: int, key: tuple[str, str, str, str], group: Sequence[DistributionRecord]) -> Panel:
    arms = [Arm(name=clean(record["platform"], 60), medians=tuple(record["medians"])) for record in group]
    task, *rest = (clean(part, 80) for part in key if part)
    drawing = strip(
        arms,
        clean(group[0]["unit"], 20),
        f"strip-{number}",
        f"Step time of {task}, one dot an invocation",
        f"A strip plot with one row for each of {', '.join(arm.name for arm in arms)}.",
    )
    return Panel(title=task, where=" · ".join(rest), drawing=drawing)


def _gaps(capabilities: Sequence[CapabilityRecord]) -> list[Gap]:
    """What did not run, one entry for each platform, status and reason."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for record in capabilities:
        key = (clean(record["platform"], 60), clean(record["status"], 30), clean(record["reason"], 500))
        groups.setdefault(key, []).append(record["what"])
    return [_gap(*key, cells=cells) for key, cells in groups.items()]


def _gap(platform: str, status: str, reason: str, *, cells: Sequence[str]) -> Gap:
    named = [clean(cell, 80) for cell in dict.fromkeys(cells) if cell != "platform"]
    return Gap(
        platform=platform,
        status=status,
        reason=reason,
        cells=tuple(named[:MOST_CELLS]),
        left_out=max(len(named) - MOST_CELLS, 0),
    )


def _claim(record: ClaimRecord) -> Claim:
    return Claim(
        statement=clean(record["statement"], 400),
        verdict=clean(record["verdict"], 40),
        style=_CLAIM_STYLES.get(record["verdict"], "unknown"),
        evidence=tuple(clean(line) for line in record["evidence"][:MOST_EVIDENCE]),
    )

"""From report.json's document to the page's context: what is said, in which order, and how much of it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from harness.analysis.document import BootSummary, Document, PlanRecord, RunRecord
from harness.report.answer import MOST_PLATFORMS, headlines, whole_forest
from harness.report.banners import banners
from harness.report.capability import gaps, grid
from harness.report.claims import claim_parts
from harness.report.contents import Page
from harness.report.context import Assets, Boot, Run, Stopping, Subject
from harness.report.facts import environment, ranked, values
from harness.report.one_sided import one_sided
from harness.report.table import table
from harness.report.tails import exclusions, no_tails, regressions, tails
from harness.report.words import LEGEND, clean

MATRIX = "matrix.yaml"  # which a run reads when none is named
MOST_OPTIONS = 40
MOST_NAMED = 8  # tasks that are missing
MOST_GAPS = 60
MOST_WARNINGS = 40
MOST_BOOTS = 40
MOST_RANKED = 60


def page(document: Document, assets: Assets) -> Page:
    """Compose the page. Raises KeyError where the document is not of this schema."""
    subject = subject_of(document)
    missing = gaps(document["capabilities"])
    slower, slower_left_out = regressions(document)
    slow_ends, tails_left_out = tails(document)
    excluded, excluded_left_out = exclusions(document["exclusions"])
    unlike = ranked(document)
    return Page(
        title=f"Overhead Matrix: {subject.cpu}",
        subject=subject,
        baseline=clean(document["baseline"], 60),
        run=run_of(document),
        banners=tuple(banners(document)),
        headlines=tuple(headlines(document)),
        not_measured=tuple(_not_measured(document)),
        claims=claim_parts(document),
        forest=whole_forest(document),
        legend=LEGEND,
        tails=slow_ends,
        tails_left_out=tails_left_out,
        no_tails=no_tails(document),
        regressions=slower,
        regressions_left_out=slower_left_out,
        table=table(document["comparisons"], document["platforms"]),
        one_sided=tuple(one_sided(document["unmatched"])[:MOST_PLATFORMS]),
        grid=grid(document),
        gaps=tuple(missing[:MOST_GAPS]),
        gaps_left_out=max(len(missing) - MOST_GAPS, 0),
        excluded=excluded,
        excluded_left_out=excluded_left_out,
        ranked=unlike[:MOST_RANKED],
        ranked_left_out=max(len(unlike) - MOST_RANKED, 0),
        environment=environment(document["environments"], document["differences"], document["baseline"]),
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


def run_of(document: Document) -> Run:
    """Where the numbers come from, and how to get them again."""
    run = document["run"]
    return Run(
        id=clean(run["id"], 120),
        created=clean(run["created"], 60),
        profile=clean(run["profile"], 60),
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
        stopping=_stopping(run),
        run_command=_run_command(run["profile"], run["seed"], run.get("plan")),
        boots=tuple(_boot(boot) for boot in run["boots"][:MOST_BOOTS]),
        report_command=f"nox -s report -- {' '.join(shlex.quote(f'results/{boot}') for boot in _ids(document))}",
    )


def _stopping(run: RunRecord) -> Stopping:
    """Which of the stopping rules held: by precision, by the clock between two numbers of blocks, or a given number."""
    plan = run.get("plan")
    blocks = plan["blocks"] if plan else None
    if plan is None or blocks is None or len(run["boots"]) > 1:
        return Stopping(ends="untold", least=None, most=None, budget=None)
    least, most, budget = blocks["min"], blocks["max"], plan["budget"]
    if run["precision"] is not None:
        return Stopping(ends="precision", least=least, most=most, budget=budget)
    if budget is None or least == most:  # the budget ends no run before its least number of blocks
        return Stopping(ends="fixed", least=least, most=most, budget=None)
    return Stopping(ends="budget", least=least, most=most, budget=budget)


def _run_command(profile: str, seed: int, plan: PlanRecord | None) -> str:
    """The command that plans the same cells in the same order."""
    options = [("--profile", profile)]
    if plan is not None:
        if plan["matrix"] not in ("", MATRIX):
            options.insert(0, ("-m", plan["matrix"]))
        options += [("--platform", name) for name in plan["platforms"] or ()]
        options += [("--task", name) for name in plan["tasks"] or ()]
    shown = " ".join(f"{option} {shlex.quote(clean(value, 200))}" for option, value in options[:MOST_OPTIONS])
    return f"nox -s matrix -- {shown} --seed {seed}"


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
        run_command=_run_command(boot["profile"], boot["seed"], boot.get("plan")) if "profile" in boot else "",
    )


def _not_measured(document: Document) -> Iterable[str]:
    """Platforms that are not there, then tasks that ran nowhere or not everywhere, by name."""
    absent = [name for name, summary in document["platform_records"].items() if not summary["available"]]
    cells = dict.fromkeys(gap["what"] for gap in document["capabilities"] if gap["what"] != "platform")
    yield from (clean(name, 60) for name in absent[:MOST_PLATFORMS])
    yield from (clean(cell.rpartition("/")[2], 80) for cell in list(cells)[:MOST_NAMED])

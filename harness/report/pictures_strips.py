"""The pictures of single invocations: steps of workloads, small files and loaders by location, tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.analysis.document import DistributionRecord, Document
from harness.analysis.primary import STEP
from harness.analysis.warmup import LEAST_STEPS
from harness.report.charts_strip import Arm, strip
from harness.report.palette import hue
from harness.report.parts import Panel, Picture
from harness.report.picture import MOST_PANELS, behind, by_panel, first_arms, keys, of_task, ordered, picture, run_task
from harness.report.plot import is_apart
from harness.report.words import clean, dims_words, metric_words

MOST_ARMS = 24
SMALL_FILES, LOADER = "storage.small_files", "storage.loader"
TOOLS = {
    "tooling.install": "install_seconds",
    "tooling.import": "import_seconds",
    "tooling.build": "compile_seconds",
    "tooling.make": "make_seconds",
}
GPU_PROBES = {"driver.launch": "launch_slope_seconds", "driver.sync": "round_trip_seconds"}
CPU = "cpu"
_DOTS = (
    "Each dot is one fresh process, blocks from top to bottom, so that a drift shows as a slope; the stroke is their "
    f"geometric mean. A hollow dot never reached a steady state; fewer than {LEAST_STEPS} steps are not checked."
)


def training(document: Document) -> Picture:
    """The workloads' steps, process by process."""
    found = [record for record in document["distributions"] if record["metric"] == STEP and record["medians"]]
    return _drawn(
        document,
        found,
        name="training",
        title="Training time: every process's step",
        text=f"The median step of a process. {_DOTS} An arm named @2 is the baseline again, measured against itself.",
        otherwise=run_task("*cnn*"),
        panel=_workload,
        row=lambda record: record["platform"],
    )


def small_files(document: Document) -> Picture:
    """Each operation on small files, by platform and location."""
    metrics = [f"{name}_seconds" for name in ("open_read", "create", "stat", "unlink", "list")]
    found = [record for metric in metrics for record in first_arms(of_task(document, SMALL_FILES, metric))]
    return _drawn(
        document,
        found,
        name="small-files",
        title="Small files: time per file, by where they lie",
        text=f"The mean time of one file in a process's middle round. {_DOTS}",
        otherwise=run_task(SMALL_FILES),
        panel=lambda r: f"{metric_words(r['metric'])}, {clean(r['dims'].get('cache', 'warm'), 20)}",
        row=_located,
    )


def loading(document: Document) -> Picture:
    """Samples a second of the frameworks' loaders, with the most workers, warm."""
    found = first_arms(of_task(document, LOADER, "samples_per_second"))
    most = max((r["dims"]["workers"] for r in found if isinstance(r["dims"].get("workers"), int)), default=0)
    chosen = [r for r in found if r["dims"].get("workers", most) == most and r["dims"].get("cache", "warm") == "warm"]
    return _drawn(
        document,
        chosen,
        name="loading",
        title="Data loading: samples a second, by where they lie",
        text=f"Images loaded and decoded in a second with the most workers: further right is faster. {_DOTS}",
        otherwise=run_task(LOADER),
        panel=lambda r: ", ".join((r["stack"], *(str(r["dims"][n]) for n in ("source", "start") if n in r["dims"]))),
        row=_located,
    )


def tools(document: Document) -> Picture:
    """Installing, importing and building."""
    found = [record for task, metric in TOOLS.items() for record in first_arms(of_task(document, task, metric))]
    return _drawn(
        document,
        found,
        name="tools",
        title="Tools: install, import, build",
        text=f"Seconds of one process. {_DOTS}",
        otherwise=run_task("tooling.*"),
        panel=lambda r: ", ".join((r["task"], r["stack"], *(str(r["dims"][n]) for n in ("cache",) if n in r["dims"]))),
        row=_located,
    )


def guests(document: Document) -> Picture:
    """A GPU in virtual machines and on the baseline: launches, round trips, the workloads' steps."""
    machines = {name for name, record in document["platform_records"].items() if record["kind"] == "vm"}
    probes = (each for task, metric in GPU_PROBES.items() for each in of_task(document, task, metric))
    steps = (each for each in document["distributions"] if each["metric"] == STEP and each["medians"])
    shown = [each for each in first_arms((*probes, *steps)) if each["platform"] in {document["baseline"], *machines}]
    in_guests = {each["task"] for each in shown if each["platform"] in machines and each["device"] != CPU}
    return _drawn(
        document,
        [each for each in shown if each["device"] != CPU and each["task"] in in_guests],
        name="guests",
        title="A GPU in a virtual machine: launches, round trips, steps",
        text=f"The median of a process. {_DOTS}",
        otherwise="nox -s matrix -- --profile full --platform native --platform guest, its entry with `gpu:`",
        panel=lambda record: f"{_workload(record)} · {metric_words(record['metric'])}",
        row=lambda record: record["platform"],
    )


def _workload(record: DistributionRecord) -> str:
    parts = (record["task"], record["stack"], record["device"], dims_words(record["dims"]))
    return " · ".join(part for part in parts if part)


def _located(record: DistributionRecord) -> str:
    location = record["dims"].get("location")
    return f"{record['platform']} · {location}" if location is not None else record["platform"]


def _drawn(
    document: Document,
    found: Sequence[DistributionRecord],
    *,
    name: str,
    title: str,
    text: str,
    otherwise: str,
    panel: Callable[[DistributionRecord], str | None],
    row: Callable[[DistributionRecord], str],
) -> Picture:
    platforms = document["platforms"]
    panels = by_panel(ordered(found, platforms), panel)
    everything = [record for group in panels.values() for record in group]
    groups = [(title, group[:MOST_ARMS]) for title, group in panels.items()][:MOST_PANELS]
    shown = [record for _, group in groups for record in group]
    return picture(
        name,
        title,
        text,
        otherwise=otherwise,
        panels=[_panel(f"{name}-{n}", key, group, platforms, row) for n, (key, group) in enumerate(groups)],
        legend=keys((record["platform"] for record in shown), platforms),
        table=behind(
            everything,
            lambda record: f"{panel(record)}: {row(record)}",
        ),
        left_out=len(everything) - len(shown),
    )


def _panel(
    name: str,
    title: str,
    group: Sequence[DistributionRecord],
    platforms: list[str],
    row: Callable[[DistributionRecord], str],
) -> Panel:
    arms = [
        Arm(
            name=clean(row(record), 60),
            hue=hue(record["platform"], platforms),
            medians=tuple(record["medians"]),
            unsteady=frozenset(n for n, block in enumerate(record["blocks"]) if block in record["unsteady"]),
        )
        for record in group
    ]
    task, _, rest = clean(title, 160).partition(" · ")
    spoken = f"{clean(title, 160)}, one dot a process"
    description = f"One row for each of {', '.join(arm.name for arm in arms)}."
    drawing = strip(arms, clean(group[0]["unit"], 20), name, spoken, description)
    unit = clean(group[0]["unit"], 20)
    where = " · ".join(part for part in (rest, unit if is_apart(unit) else "") if part)
    return Panel(title=task, where=where, drawing=drawing)

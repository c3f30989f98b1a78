"""What else this machine does: its load, the busiest processes, and those that are known to wake up when they like."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.doctor.finding import Check, Facts, Matter, Seen, read
from harness.doctor.processes import Process

HEAVY, LIGHT = 0.5, 0.1  # load average a processor: half of them, a tenth of them at work
WAITING, SOME_WAITING = 0.10, 0.01  # of the last 10 s in which some task waited for it
BUSY, VERY_BUSY = 0.10, 0.50  # of one processor: a process worth naming; all of those together
NAMED = 15  # characters of a name that Linux keeps

UPDATERS = frozenset({
    "apt", "apt-get", "apt.systemd.daily", "aptd", "aptitude", "dnf", "dnf5", "dpkg", "fwupdmgr", "packagekitd",
    "pacman", "rpm", "rpm-ostree", "snap", "unattended-upgrade", "unattended-upgrades", "yum", "zypper",
    "TiWorker.exe", "TrustedInstaller.exe", "MoUsoCoreWorker.exe", "wuauclt.exe", "msiexec.exe",
})  # fmt: skip
SNAPD = frozenset({"snapd"})  # always there where snaps are; it refreshes them four times a day (its default)
INDEXERS = frozenset({
    "baloo_file", "baloo_file_extractor", "localsearch-3", "localsearch-extractor-3", "mandb", "tracker-extract-3",
    "tracker-miner-fs-3", "updatedb", "updatedb.mlocate", "updatedb.plocate",
    "SearchIndexer.exe", "SearchProtocolHost.exe",
})  # fmt: skip
SCANNERS = frozenset({
    "clamd", "clamonacc", "clamscan", "clamdscan", "falcon-sensor", "falcon-sensor-bpf", "ds_agent", "mdatp", "savd",
    "sentinelone-agent", "s1-agent", "wdavdaemon", "xagt", "cbagentd", "esets_daemon", "oaeventd",
    "MsMpEng.exe", "MsSense.exe", "CSFalconService.exe", "SentinelAgent.exe", "avp.exe", "ekrn.exe",
})  # fmt: skip


UPDATED = "let them finish; `sudo systemctl stop apt-daily.timer apt-daily-upgrade.timer` keeps Debian's from starting"


def average(facts: Facts) -> Iterator[Seen]:
    """The load average, a processor."""
    found, processors = read(facts, "load.average"), read(facts, "cpu.logical")
    matter = _graded(found.value / processors.value, LIGHT, HEAVY)
    if matter:
        what = f"the load average is {found.value:.2f} on {processors.value} processors"
        yield Seen(what=what, source=found.source, remedy="wait, or end what else runs (`top`)", matter=matter)


def working(facts: Facts) -> Iterator[Seen]:
    """Windows' processors at work while doctor slept."""
    found = read(facts, "load.busy")
    matter = _graded(found.value, LIGHT, HEAVY)
    if matter:
        what = f"the processors worked for {found.value:.0%} of the time"
        yield Seen(what=what, source=found.source, remedy="wait, or end what else runs (Task Manager)", matter=matter)


def pressure(facts: Facts) -> Iterator[Seen]:
    """Pressure stall information (PSI), for each resource."""
    for kind in ("cpu", "memory", "io"):
        found = read(facts, f"load.pressure.{kind}")
        matter = _graded(found.value, SOME_WAITING, WAITING)
        if matter:
            what = f"in {found.value:.0%} of the last 10 s tasks waited for {kind}"
            yield Seen(
                what=what, source=found.source, remedy="wait, or end what else runs (`top`, `iotop`)", matter=matter
            )


def _graded(value: float, light: float, heavy: float) -> Matter | None:
    if value < light:
        return None
    return "decisive" if value >= heavy else "relevant"


def busiest(facts: Facts) -> Iterator[Seen]:
    """Processes that took a considerable part of a processor while doctor looked."""
    found = read(facts, "load.processes")
    busy = sorted((each for each in found.value if (each.share or 0) >= BUSY), key=lambda each: -(each.share or 0))
    if busy:
        total = sum(each.share or 0 for each in busy)
        named = ", ".join(f"{each.name} {each.share:.0%} (pid {each.pid})" for each in busy[:4])
        more = f" and {len(busy) - 4} more" if len(busy) > 4 else ""
        matter: Matter = "decisive" if total >= VERY_BUSY else "relevant"
        what = f"others take {total:.0%} of a processor: {named}{more}"
        yield Seen(
            what=what, source=found.source, remedy=f"wait for it, or end it (`kill {busy[0].pid}`)", matter=matter
        )


def updates(facts: Facts) -> Iterator[Seen]:
    """Package managers and updates at work; snapd, which will be."""
    yield from _running(facts, UPDATERS, "updates run", UPDATED)
    for seen in _running(facts, SNAPD, "snaps may be refreshed at any time", "sudo snap refresh --hold=24h"):
        yield Seen(what=seen.what, source=seen.source, remedy=seen.remedy, matter="noted")


def indexing(facts: Facts) -> Iterator[Seen]:
    """Indexers of files."""
    yield from _running(facts, INDEXERS, "files are indexed", "let it finish, or exclude the cache folder from it")


def scanning(facts: Facts) -> Iterator[Seen]:
    """Antivirus programs: they look into files as they are opened."""
    yield from _running(facts, SCANNERS, "an antivirus program runs", "exclude the cache folder from its scans")


def _running(facts: Facts, names: frozenset[str], said: str, remedy: str) -> Iterator[Seen]:
    found = read(facts, "load.processes")
    running = _named(found.value, names)
    if running:
        yield Seen(what=f"{said}: {', '.join(running)}", source=found.source, remedy=remedy)


def _named(processes: Sequence[Process], names: frozenset[str]) -> list[str]:
    known = {name.lower() for name in names} | {name[:NAMED] for name in names}
    return sorted({each.name for each in processes if each.name in known or each.name.lower() in known})


LINUX = (
    Check(
        id="load.average",
        matter="relevant",
        why="whatever else runs takes processor time, caches and memory bandwidth from some blocks and not from others",
        look=average,
    ),
    Check(
        id="load.pressure",
        matter="relevant",
        why="tasks that wait for one another are measured waiting",
        look=pressure,
        unread="start the kernel with `psi=1`",
    ),
    Check(
        id="load.processes",
        matter="relevant",
        why="it competes with what is measured, and not evenly",
        look=busiest,
    ),
)
WINDOWS = (
    Check(
        id="load.busy",
        matter="relevant",
        why="whatever else runs takes processor time, caches and memory bandwidth from some blocks and not from others",
        look=working,
    ),
)
EVERYWHERE = (
    Check(
        id="load.updates",
        matter="relevant",
        why="they write whole packages, and may replace the driver under a run",
        look=updates,
    ),
    Check(
        id="load.indexing",
        matter="relevant",
        why="it reads what storage tasks write, just after they wrote it",
        look=indexing,
    ),
    Check(
        id="load.antivirus",
        matter="relevant",
        why="each file is scanned when it is opened or written: small files take longer, on some platforms only",
        look=scanning,
    ),
)

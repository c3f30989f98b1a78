"""What to know before any number is read, the gravest first."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.document import ComparisonRecord, Document
from harness.analysis.kinds import marks_stand_in
from harness.report.context import Banner
from harness.report.facts import values
from harness.report.picture import records
from harness.report.words import clean

FEW_BLOCKS = 5
YES = ("true", "True", "yes", "1")


def banners(document: Document) -> Iterable[Banner]:
    """Everything that there is to know first."""
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
            if marks_stand_in(key, value):
                yield clean(name, 60) if value in YES else f"{clean(name, 60)}: {clean(value, 120)}"
    for gpu in document["run"]["gpus"]:
        if any(marks_stand_in(key, str(value)) for key, value in gpu.items()):
            yield clean(str(gpu.get("name", "a GPU")), 60)


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
    found = [one for one in records(document, "comparability") if one["platform"] == record["platform"]]
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

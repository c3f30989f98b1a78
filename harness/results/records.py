"""The records of a bundle's run.json and journal.jsonl. A fixed format: fields are added, never renamed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from harness.agent.messages import Status

MAX_COUNT = 10**6  # blocks and attempts: far more than any run has


def _rfc3339(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    return text


Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Time = Annotated[str, AfterValidator(_rfc3339)]


class Record(BaseModel):
    """Base: immutable; fields of later versions are kept. Files are validated strictly: no type is coerced."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    def dump(self) -> dict[str, Any]:
        """Return the plain data that stand in the bundle's file."""
        return self.model_dump(mode="json", by_alias=True)


class PlatformRecord(Record):
    """One platform in the manifest."""

    kind: str
    available: bool
    reason: str = ""
    inspection: dict[str, Any] = {}


class BlockRange(Record):
    """How many rounds a run makes."""

    min: Count
    max: Count


class CellRecord(Record):
    """One planned cell; `id` is that of journal and invocations."""

    id: str
    platform: str
    stack: str
    task: str
    entry: str = ""
    device: str = "cpu"
    arm: int = 1


class SelectionRecord(Record):
    """What of the matrix the command line asked for; None is all. `matrix` is the file as it was named, "" unknown."""

    matrix: str = ""
    platforms: list[str] | None = None
    tasks: list[str] | None = None


class HiddenRecord(Record):
    """Marks of what the bundle's matrix hides, by place (`platforms.docker.host`); `key` names the key they are under.

    Two marks of one key and place are equal where the values are; marks of two keys tell nothing.
    """

    key: str = ""
    values: dict[str, str] = {}


class MatrixRecord(Record):
    """The manifest's `matrix`: what the run was to do. `precision` is relative, 0.02 = 2%; `budget` seconds."""

    baseline: str
    profile: str = ""
    blocks: BlockRange | None = None
    precision: Annotated[float, Field(gt=0, lt=10)] | None = None
    budget: Annotated[float, Field(ge=0, le=1e9)] | None = None
    looks: list[Count] = []  # the blocks after which precision may stop a task; empty: it never does
    cells: list[CellRecord] = []
    selection: SelectionRecord = SelectionRecord()
    hidden: HiddenRecord = HiddenRecord()


class StackRecord(Record):
    """One stack in the manifest; `platforms` holds what each platform reported when it installed the stack."""

    lock_sha256: str = ""
    platforms: dict[str, dict[str, Any]] = {}


class Origin(Record):
    """What run.json says of one run. Unknown fields are kept."""

    schema_version: Literal[1] = Field(alias="schema")
    run_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")  # also the name of a folder
    created: Time
    tool_version: str
    seed: int
    matrix: dict[str, Any]  # as expanded; `plan` is its checked form
    host: dict[str, Any]
    boot_id: str
    gpus: list[dict[str, Any]]
    platforms: dict[str, PlatformRecord]
    stacks: dict[str, dict[str, Any]] = {}  # `StackRecord` is its checked form

    @property
    def plan(self) -> MatrixRecord:
        """The checked form of `matrix`; raises ValidationError where it is wrong (`read` has checked it)."""
        return MatrixRecord.model_validate(self.matrix)

    def named(self, platform: str) -> str:
        """Return what the bundle that this run lies in calls one of the run's platforms."""
        return platform


class BootRecord(Origin):
    """One run of a merged bundle: its own run.json, and what became of its blocks and names there.

    Its block n is the merged bundle's block `offset` + n. `names` holds those of its platforms that are called
    otherwise there. A boot that left several runs has several records, which share its `boot_id`.
    """

    offset: Annotated[int, Field(ge=0, le=MAX_COUNT)]
    names: dict[str, str] = {}
    fingerprint: str  # sha256 of its own journal
    warnings: list[str] = []  # what reading its own bundle warned of

    def named(self, platform: str) -> str:
        """Return what the merged bundle calls one of the run's platforms."""
        return self.names.get(platform, platform)

    def original(self, platform: str) -> str:
        """Return what this run calls a platform of the merged bundle."""
        return next((mine for mine, merged in self.names.items() if merged == platform), platform)


class Manifest(Origin):
    """run.json. A merged bundle has `boots`, the runs it was made of; its other fields speak for all of them."""

    boots: list[BootRecord] = []

    @property
    def origins(self) -> Sequence[Origin]:
        """The runs behind the bundle; a journal line's `boot` counts them from 1."""
        return self.boots or [self]


class JournalLine(Record):
    """One attempt of an invocation."""

    block: Count
    cell: str
    attempt: Count
    status: Status
    reason: str
    started: Time
    seconds: float = Field(ge=0, le=1e9)
    file: str  # relative to the bundle
    sha256: str
    boot: Count = 1  # of a merged bundle: which of its `boots`

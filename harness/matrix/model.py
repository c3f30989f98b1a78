"""The typed form of matrix.yaml (pydantic). `load` in `harness.matrix.load` fills it and locates every error."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.agent.messages import Scalar


class Model(BaseModel):
    """Base: unknown keys are errors, instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Native(Model):
    """The host itself."""

    kind: Literal["native"]


class Container(Model):
    """A container engine on this host; the options are those of `docker run`."""

    kind: Literal["container"]
    engine: str | None = Field(
        None,
        description="Engine address (unix:///…, npipe://…); default: DOCKER_HOST, then the default socket.",
    )
    image: str | None = Field(None, description="A vendor's image, measured as it is, instead of the stack's own.")
    gpus: str | None = Field(None, description="`all`, `none`, a GPU UUID, or a CDI name such as nvidia.com/gpu=all.")
    cpus: float | None = Field(None, gt=0)
    cpuset: str | None = None
    memory: str | None = Field(None, description="A size with a unit, 8g.")
    shm_size: str | None = None
    ipc: Literal["host", "private"] | None = None
    ulimits: dict[str, int] = Field(default_factory=dict, description="name: soft and hard limit, -1 = unlimited.")
    runtime: str | None = None
    network: str = "none"
    environment: dict[str, str] = Field(default_factory=dict)
    mounts: list[str] = Field(default_factory=list, description="`/host/path:/path/inside[:ro]`.")


class Wsl(Model):
    """A WSL2 distribution, started from Windows."""

    kind: Literal["wsl"]
    distribution: str


class Vm(Model):
    """A virtual machine with an optional passed-through GPU."""

    kind: Literal["vm"]
    image: str
    gpu: str | None = None


class Remote(Model):
    """Another host through ssh."""

    kind: Literal["remote"]
    host: str


PlatformConfig = Annotated[Native | Container | Wsl | Vm | Remote, Field(discriminator="kind")]


class StackConfig(Model):
    """The software under test. Without requirements and interpreter: no framework, the standard library alone."""

    requirements: str | None = Field(None, description="Lock file with hashes, relative to matrix.yaml.")
    cpu_requirements: str | None = Field(None, description="The lock file of hosts without a GPU.")
    python: str = Field("3.11", pattern=r"^3\.\d+$")
    interpreter: str | None = Field(None, description="Measure what this interpreter has installed (native only).")


class Blocks(Model):
    """How many rounds: at least `min`, at most `max`."""

    min: int = Field(ge=1)
    max: int = Field(ge=1)


class Profile(Model):
    """What `--profile` picks. Globs; an absent list means all. Percentages and durations are parsed to numbers."""

    tasks: list[str] = Field(min_length=1)
    platforms: list[str] | None = None
    stacks: list[str] | None = None
    blocks: Blocks
    precision: float | None = Field(None, description="Stop a task when its interval is narrower: `2%`.")
    budget: float | None = Field(None, description="Start no new block after this time, seconds: `10min`.")
    timeout: float = Field(300.0, description="Limit for one invocation, seconds.")


class Matrix(Model):
    """The whole file. `tasks` maps a name to its parameter sets: one task each."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_version: Literal[1] = Field(alias="schema")
    baseline: str
    platforms: dict[str, PlatformConfig]
    stacks: dict[str, StackConfig]
    tasks: dict[str, list[dict[str, Scalar]]]
    profiles: dict[str, Profile]

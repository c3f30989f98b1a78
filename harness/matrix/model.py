"""The typed form of matrix.yaml (pydantic). `load` in `harness.matrix.load` fills it and locates every error.

Types are strict: a text is no number, a number no text. Quantities with a unit (`harness.matrix.units`) are parsed
before they are checked; the JSON Schema describes what may be written, the fields hold what was parsed.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from harness.agent.cpus import number_list
from harness.agent.messages import Scalar
from harness.agent.task import Framework
from harness.matrix import units

NAME = r"^[a-z0-9][a-z0-9._-]{0,63}$"
"""Names become parts of cell ids and of file names, also on file systems that don't tell `A` from `a`."""

FRAMEWORKS: dict[str, Framework] = {"driver": "none", "torch": "torch", "tensorflow": "tensorflow"}
"""What a stack's name begins with, and its framework."""


def framework_of(stack_name: str) -> Framework:
    """Return the framework that a stack's name stands for. Raises ValueError for any other beginning."""
    for prefix, framework in FRAMEWORKS.items():
        if stack_name.startswith(prefix):
            return framework
    raise ValueError(f"a stack's name begins with {', '.join(FRAMEWORKS)}: that names its framework")


def _version(value: object) -> object:
    """Refuse `schema: true`, which equals 1."""
    if type(value) is not int:
        raise ValueError("the number 1 is expected")
    return value


def _blocks(value: object) -> object:
    """`blocks: 2` is exactly two."""
    if isinstance(value, int) and not isinstance(value, bool):
        return {"min": value, "max": value}
    return value


def _parameter_sets(value: object) -> object:
    """Return a list: one mapping is one set, nothing is one empty set."""
    if value is None:
        return [{}]
    return [value] if isinstance(value, dict) else value


_Positive = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(gt=0, lt=1)]
Name = Annotated[str, Field(pattern=NAME)]
Text = Annotated[str, Field(min_length=1)]
Fraction = Annotated[
    _Share,
    BeforeValidator(
        units.fraction, json_schema_input_type=_Share | Annotated[str, Field(pattern=units.FRACTION, examples=["2%"])]
    ),
]
Duration = Annotated[
    _Positive,
    BeforeValidator(
        units.duration,
        json_schema_input_type=_Positive | Annotated[str, Field(pattern=units.DURATION, examples=["10min"])],
    ),
]
DockerSize = Annotated[
    str,
    BeforeValidator(
        units.docker_size,
        json_schema_input_type=Annotated[int, Field(gt=0)]
        | Annotated[str, Field(pattern=units.SIZE, examples=["2g", "512MiB"])],
    ),
]
Size = Annotated[
    int,
    Field(gt=0),
    BeforeValidator(
        units.size,
        json_schema_input_type=Annotated[int, Field(gt=0)]
        | Annotated[str, Field(pattern=units.SIZE, examples=["8g", "512MiB"])],
    ),
]
_PINNED = r"^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$"
Globs = Annotated[list[Text], Field(min_length=1)]


class Model(BaseModel):
    """Base: unknown keys are errors, types are strict, instances are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Native(Model):
    """The host itself."""

    kind: Literal["native"]
    os: Literal["linux", "windows"] | None = Field(
        None, description="The operating system meant; default: the one that the harness runs in."
    )


class Container(Model):
    """A container engine on this host; the options are those of `docker run`."""

    kind: Literal["container"]
    engine: Text | None = Field(
        None,
        description="Engine address (unix:///…, npipe://…); default: DOCKER_HOST, then the default socket.",
    )
    image: Text | None = Field(None, description="A vendor's image, measured as it is, instead of the stack's own.")
    gpus: Text | None = Field(
        None,
        description="`all`, `none`, a GPU UUID, or a CDI name such as nvidia.com/gpu=all; "
        "default: all when the host has a GPU, else none.",
    )
    cpus: float | None = Field(None, gt=0, description="CPU time per second, in CPUs: 0.5 is half of one.")
    cpuset: str | None = Field(None, pattern=r"^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$", description="0-3,8")
    memory: DockerSize | None = Field(None, description="A size with a unit, 8g.")
    shm_size: DockerSize | None = Field(None, description="Shared memory, 2g. Only what is used takes memory.")
    ipc: Literal["host", "private"] | None = None
    ulimits: dict[Text, Annotated[int, Field(ge=-1)]] = Field(
        default_factory=dict, description="name: soft and hard limit, -1 = unlimited."
    )
    runtime: Text | None = Field(None, description="An OCI runtime that the engine knows, nvidia.")
    network: Text = Field("none", description="none, host, or the name of a network.")
    environment: dict[Annotated[str, Field(pattern=r"^[^=\s]+$")], str] = Field(
        default_factory=dict, description="Values are texts: put numbers in quotes."
    )
    mounts: list[Annotated[str, Field(pattern=r"^.+:/[^:]*(:ro)?$")]] = Field(
        default_factory=list, description="`/host/path:/path/inside[:ro]`."
    )


class Wsl(Model):
    """A WSL2 distribution, started from Windows."""

    kind: Literal["wsl"]
    distribution: str = Field(pattern=r"^[^-\s]", description="As `wsl --list` names it, Ubuntu-24.04.")


class Libvirt(Model):
    """A domain of libvirt's. What decides its speed stands in its definition."""

    name: str = Field(pattern=r"^[^-\s]\S*$", description="As `virsh list --all` names it.")
    host: str = Field(pattern=r"^[^-\s]\S*$", description="How ssh reaches it: user@host, or a Host of ~/.ssh/config.")
    connection: Text = Field("qemu:///system", description="libvirt's URI.")
    config: Text | None = Field(None, description="A file for ssh to read instead of ~/.ssh/config and the system's.")


class Vm(Model):
    """A virtual machine on this host: a guest that QEMU boots, with an optional passed-through GPU, or a domain."""

    kind: Literal["vm"]
    image: Text | None = Field(
        None,
        description="The guest's disk, relative to matrix.yaml, as `python -m harness vm image` makes it. "
        "It is never written to.",
    )
    domain: Libvirt | None = Field(None, description="In place of all else: a domain that libvirt knows.")
    user: str = Field("root", pattern=r"^[a-z_][a-z0-9_-]*$", description="Whom the image's key lets in by ssh.")
    accelerator: Literal["auto", "kvm", "tcg"] = Field(
        "auto", description="auto: KVM, and emulation (TCG, marked) where a guest does not boot with it."
    )
    cpus: int | None = Field(None, ge=1, le=1024, description="Virtual CPUs; default: as many as `pin`, else the host.")
    memory: Size | None = Field(None, description="The guest's, 8g; default: half of the host's.")
    pin: str | None = Field(
        None, pattern=_PINNED, description="Host CPUs, 2-5,8: the n-th virtual CPU runs on the n-th of them."
    )
    hugepages: Literal["2m", "1g"] | None = Field(
        None, description="Back the guest's memory by the host's huge pages of this size; they must be reserved."
    )
    numa: list[Annotated[int, Field(ge=0)]] = Field(
        default_factory=list,
        description="Host NUMA nodes, [0, 1]: the guest gets a node for each, with its share of CPUs and memory.",
    )
    gpu: Annotated[str, StringConstraints(to_lower=True)] | None = Field(  # as the kernel writes it
        None,
        pattern=r"^[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$",
        description="PCI address of the GPU to pass through, 0000:01:00.0.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Vm:
        default = Vm.model_construct(kind="vm")  # a bundle keeps the defaults too
        own = self.model_fields_set - {"kind", "domain"}
        others = sorted(name for name in own if getattr(self, name) != getattr(default, name))
        if self.domain and others:
            raise ValueError(f"a domain's definition says what it is like; remove {', '.join(others)}")
        if not self.domain and not self.image:
            raise ValueError("neither image nor domain is named; name one of them")
        if self.memory is not None and self.memory < 64 << 20:
            raise ValueError("memory is below 64m, and no guest boots with that; name more")
        pinned = len(self.pinned)
        cpus = self.cpus or pinned
        if self.pin and pinned != (self.cpus or max(1, pinned)):
            raise ValueError(f"pin names {pinned} host CPUs for {cpus} virtual ones; name as many")
        if self.numa and cpus % len(self.numa):
            raise ValueError(f"{cpus} CPUs can't be shared equally by {len(self.numa)} nodes of numa; change cpus")
        if self.numa and not cpus:
            raise ValueError("numa shares the CPUs among its nodes; say how many by cpus or pin")
        return self

    @property
    def pinned(self) -> tuple[int, ...]:
        """The host CPUs of `pin`, ascending."""
        return tuple(number_list(self.pin or ""))


class Remote(Model):
    """Another host through ssh."""

    kind: Literal["remote"]
    host: str = Field(pattern=r"^[^-\s]\S*$", description="As ssh takes it: user@host, or a Host of ~/.ssh/config.")
    python: Text | None = Field(
        None, description="Path of a Python 3.10+ there; default: the first that fits of those on its PATH."
    )
    folder: Text | None = Field(
        None, description="Work folder there, its file system is the location `host`; default: in the user's cache."
    )
    config: Text | None = Field(None, description="A file for ssh to read instead of ~/.ssh/config and the system's.")


PlatformConfig = Annotated[Native | Container | Wsl | Vm | Remote, Field(discriminator="kind")]
KINDS: dict[str, type[Model]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(get_args(PlatformConfig)[0])
}


class StackConfig(Model):
    """The software under test. Without requirements and interpreter: no framework, the standard library alone."""

    requirements: Text | None = Field(None, description="Lock file with hashes, relative to matrix.yaml.")
    cpu_requirements: Text | None = Field(None, description="The lock file of hosts without a GPU.")
    python: str = Field("3.11", pattern=r"^3\.[0-9]{1,2}$", description="In quotes: 3.10 without them is 3.1.")
    interpreter: Text | None = Field(None, description="Measure what this interpreter has installed (native only).")

    @model_validator(mode="after")
    def _go_together(self) -> StackConfig:
        if self.requirements and self.interpreter:
            raise ValueError("requirements and interpreter exclude each other; remove one")
        if self.cpu_requirements and not self.requirements:
            raise ValueError("cpu_requirements stand in for requirements, which are missing; add them")
        return self


class Blocks(Model):
    """How many rounds: at least `min`, at most `max`."""

    min: int = Field(ge=1, le=1000)
    max: int = Field(ge=1, le=1000)

    @model_validator(mode="after")
    def _ordered(self) -> Blocks:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}; swap them")
        return self


ParameterSet = dict[Text, Scalar]
ParameterSets = Annotated[
    list[ParameterSet],
    Field(min_length=1),
    BeforeValidator(
        _parameter_sets,
        json_schema_input_type=ParameterSet | Annotated[list[ParameterSet], Field(min_length=1)] | None,
    ),
]


class Profile(Model):
    """What `--profile` picks. Globs; an absent list means all. Percentages and durations are parsed to numbers.

    `parameters` takes the place of what `tasks` of the matrix says of these tasks: of the sizes of a GPU, say.
    """

    tasks: Globs
    parameters: dict[Text, ParameterSets] = Field(
        default={}, description="Other parameter sets of tasks, for this profile."
    )
    platforms: Globs | None = None
    stacks: Globs | None = None
    blocks: Annotated[
        Blocks, BeforeValidator(_blocks, json_schema_input_type=Annotated[int, Field(ge=1, le=1000)] | Blocks)
    ]
    precision: Fraction | None = Field(None, description="Stop a task when its interval is narrower: `2%`.")
    budget: Duration | None = Field(None, description="Start no new block after this time, seconds: `10min`.")
    timeout: Duration = Field(300.0, description="Limit for one invocation, seconds.")


class Matrix(Model):
    """The whole file. `tasks` maps a name to its parameter sets: one task each."""

    schema_version: Annotated[Literal[1], BeforeValidator(_version, json_schema_input_type=Literal[1])] = Field(
        alias="schema", description="The version of this format."
    )
    baseline: Text = Field(description="The platform that the others are compared with.")
    platforms: dict[Name, PlatformConfig] = Field(min_length=1)
    stacks: dict[Name, StackConfig] = Field(min_length=1)
    tasks: dict[Text, ParameterSets] = Field(min_length=1)
    profiles: dict[Name, Profile] = Field(min_length=1, description="The first is the default.")

    def tasks_of(self, profile: Profile) -> dict[str, list[ParameterSet]]:
        """Return the tasks as a profile has them: its own parameter sets in place of the others."""
        return {**self.tasks, **profile.parameters}


def allowed_keys(model: type[BaseModel]) -> list[str]:
    """Return the keys that a mapping of this model may have, as matrix.yaml writes them."""
    return [field.alias or name for name, field in model.model_fields.items()]

"""A cell: platform × stack × task × device, one entry of the matrix. The id is derived from it, never parsed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.agent.messages import Scalar
from harness.agent.step_counts import PREFIX

SECOND_ARM = "@2"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One entry of the matrix. `arm` is 2 for the baseline's second arm (A/A), else 1."""

    platform: str
    stack: str
    task: str  # full name, `tf_cnn.resnet50[batch_size=64]`
    entry: str  # `tf_cnn.resnet50`
    params: Mapping[str, Scalar]
    device: str
    arm: int = 1

    @property
    def arm_name(self) -> str:
        """The platform as results name it: `native`, `native@2`."""
        return self.platform + (SECOND_ARM if self.arm == 2 else "")

    @property
    def id(self) -> str:
        """`native@2/torch/torch_cnn.trivial`."""
        return f"{self.arm_name}/{self.stack}/{self.task}"

    @property
    def once(self) -> bool:
        """Whether it runs in the first block alone and is compared with nothing: it counts what a step consists of."""
        return self.entry.startswith(PREFIX)

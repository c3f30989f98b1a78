"""A small valid matrix, and edits of it: text in, text out."""

from __future__ import annotations

VALID = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
  docker: {kind: container, cpus: 0.5, shm_size: 2g}
  guest: {kind: vm, image: guest.qcow2, gpu: 0000:01:00.0}
stacks:
  driver: {}
  torch: {requirements: lock.txt}
  tensorflow: {interpreter: python3}
tasks:
  fakeprobe.plain:
  fakeprobe.params: {size: 4KiB, rate: 2}
  fakework.resnet: [{batch_size: 32}, {batch_size: 64}]
  fakework.mnist:
profiles:
  quick:
    tasks: ["fakeprobe.*", "fakework.resnet"]
    blocks: {min: 5, max: 12}
    precision: 2%
    budget: 10min
  smoke:
    tasks: ["*"]
    platforms: [native, docker]
    stacks: [driver, "t*"]
    blocks: 2
"""


def edited(old: str, new: str) -> str:
    """Replace the one place where `old` stands."""
    assert VALID.count(old) == 1, f"{old!r} stands {VALID.count(old)} times"
    return VALID.replace(old, new)

"""What is read from a domain's definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.platforms.libvirt import described, parsed, passed_through

FULL = """
<domain type='kvm'>
  <memory unit='KiB'>16777216</memory>
  <memoryBacking><hugepages><page size='1048576' unit='KiB'/></hugepages></memoryBacking>
  <vcpu placement='static'>2</vcpu>
  <cputune><vcpupin vcpu='0' cpuset='8'/><vcpupin vcpu='1' cpuset='9'/></cputune>
  <numatune><memory mode='strict' nodeset='1'/></numatune>
  <cpu mode='host-passthrough'/>
  <devices>
    <disk type='file'><driver name='qemu' type='raw' cache='none'/><target dev='vda' bus='virtio'/></disk>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0x41' slot='0x00' function='0x0'/></source>
    </hostdev>
    <hostdev mode='subsystem' type='usb'><source><vendor id='0x1234'/></source></hostdev>
  </devices>
</domain>
"""


def test_what_decides_a_domains_speed_is_read() -> None:
    assert described(parsed(FULL)) == {
        "accelerator": "kvm",
        "vcpus": 2,
        "memory_bytes": 16 << 30,
        "cpu_mode": "host-passthrough",
        "pinning": "0:8,1:9",
        "hugepages": "1048576KiB",
        "numa": "1",
        "disks": "raw on virtio, cache=none",
        "gpu": "0000:41:00.0",
    }


def test_what_a_definition_does_not_say_is_none() -> None:
    found = described(parsed("<domain type='qemu'><memory>1</memory><vcpu>1</vcpu></domain>"))
    assert (found["accelerator"], found["pinning"], found["hugepages"], found["numa"]) == (
        "tcg",
        "none",
        "none",
        "none",
    )
    assert (found["disks"], found["gpu"]) == ("", "")


@given(st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.integers(0, 0x1F), st.integers(0, 7)))
def test_every_address_is_read_as_the_kernel_writes_it(address: tuple[int, int, int, int]) -> None:
    named = zip(("domain", "bus", "slot", "function"), address, strict=True)
    attributes = " ".join(f"{name}='{value:#x}'" for name, value in named)
    source = f"<hostdev type='pci'><source><address {attributes}/></source></hostdev>"
    (found,) = passed_through(parsed(f"<domain><devices>{source}</devices></domain>"))
    domain, bus, rest = found.split(":")
    slot, function = rest.split(".")
    assert tuple(int(part, 16) for part in (domain, bus, slot, function)) == address

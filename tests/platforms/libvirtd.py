"""A real libvirt daemon of the tests' own, for an ordinary user, with one domain: a small guest under emulation.

It proves that the code works and says nothing about virtual machines.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from harness.platforms.guest_image import KERNEL_ARGUMENTS, GuestImage
from harness.runner import process
from tests.platforms.sshd import free_port

LIBVIRTD = shutil.which("libvirtd", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))
NOBODY = 65534
UP_SECONDS = 30.0
DOMAIN = "overhead-test"

# The guest's network is QEMU's own, whose forwarding libvirt 9 has no element for.
DEFINITION = """\
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <memory unit='MiB'>512</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <on_reboot>destroy</on_reboot>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2' cache='unsafe'/><source file='{disk}'/><target dev='vda' bus='virtio'/>
    </disk>
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-netdev'/><qemu:arg value='user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22'/>
    <qemu:arg value='-device'/><qemu:arg value='virtio-net-pci,netdev=net,romfile=,addr=0x10'/>
  </qemu:commandline>
</domain>
"""


class LibvirtDaemon:
    """Runs in `folder`, which an ordinary user can reach; `config` is ssh's, whose host `guest` is the domain."""

    def __init__(self, folder: Path, image: GuestImage) -> None:
        self.folder = folder
        self.config = folder / "ssh_config"
        self.socket = folder / "run/libvirt/libvirt-sock"
        self.connection = f"qemu+unix:///session?socket={self.socket}"
        self._process: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self._copy(image)

    def start(self) -> None:
        """Start the daemon and define the domain."""
        assert LIBVIRTD is not None
        (self.folder / "run").mkdir()
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        for each in (self.folder, *self.folder.rglob("*")) if user else ():
            os.chown(each, NOBODY, NOBODY)
        with (self.folder / "log").open("wb") as log:
            argv, streams = [LIBVIRTD], {"stdout": log, "stderr": log}
            self._process = subprocess.Popen(argv, env=self._environ(), cwd=self.folder, **streams, **user)  # type: ignore[call-overload]
        self._await()
        definition = self.folder / "domain.xml"
        values = {"kernel": self.folder / "guest.vmlinuz", "initrd": self.folder / "guest.initrd"}
        text = DEFINITION.format(
            name=DOMAIN, disk=self.folder / "guest.qcow2", cmdline=KERNEL_ARGUMENTS, port=self._port, **values
        )
        definition.write_text(text, encoding="utf-8")
        self.virsh("define", str(definition))

    def stop(self) -> None:
        """End the domain and the daemon."""
        if self._process is not None:
            subprocess.run(["virsh", "-c", self.connection, "destroy", DOMAIN], capture_output=True, check=False)
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def virsh(self, *arguments: str) -> str:
        done = process.capture(["virsh", "--quiet", "-c", self.connection, *arguments], timeout=60)
        assert done.code == 0, done.stderr
        return done.stdout.strip()

    def state(self) -> str:
        return self.virsh("domstate", DOMAIN)

    def _environ(self) -> dict[str, str]:
        """Everything of the daemon's lies in the folder."""
        places = {"HOME": "", "XDG_RUNTIME_DIR": "run", "XDG_CONFIG_HOME": "config", "XDG_CACHE_HOME": "cache"}
        return {"PATH": os.environ["PATH"], **{name: str(self.folder / place) for name, place in places.items()}}

    def _await(self) -> None:
        deadline = time.monotonic() + UP_SECONDS
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as probe:
                if self.socket.exists() and probe.connect_ex(str(self.socket)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text(encoding="utf-8"))

    def _copy(self, image: GuestImage) -> None:
        for source in (image.disk, image.kernel, image.initrd):
            subprocess.run(["cp", "--reflink=auto", source, self.folder / f"guest{source.suffix}"], check=True)
        key = self.folder.with_suffix(".key")  # the tests' user owns it, as ssh wants
        shutil.copyfile(image.key, key)
        key.chmod(0o600)
        known = self.folder.with_suffix(".known_hosts")
        known.write_text(f"guest {image.host_key.read_text(encoding='ascii')}", encoding="ascii")
        self.config.write_text(
            f"Host guest\n  HostName 127.0.0.1\n  Port {self._port}\n  User root\n  HostKeyAlias guest\n"
            f"  IdentityFile {key}\n  IdentitiesOnly yes\n  UserKnownHostsFile {known}\n",
            encoding="utf-8",
        )

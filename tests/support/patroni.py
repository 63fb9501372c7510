"""Three machines with etcd, Patroni and PostgreSQL, set up by the commands of a guide."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom

from support.shell import run_script

DEPLOY = Path(__file__).parents[2] / "deploy" / "patroni"

DISKS = """
mount -t tmpfs none {home}
echo ready
sleep 600 &
wait
"""
"""A script for the namespace with the disks, which stay when a machine is killed."""

MACHINE = """
cd {folder}
for folder in etc var opt venv; do
  mkdir -p disk/$folder work/$folder
done
for folder in etc var opt; do
  mount -t overlay none /$folder -o lowerdir=/$folder,upperdir=disk/$folder,workdir=work/$folder
done
mkdir -p /opt/patroni
mount -t overlay none /opt/patroni \
  -o lowerdir={environment},upperdir=disk/venv,workdir=work/venv
mount -t tmpfs none /run
install -d -o postgres /run/postgresql
echo ready
sleep 600 &
wait
"""
"""A script for a machine with overlays over the files of this one, which stay unchanged."""

PROGRAMS = {
    "apt-get": "#!/bin/bash",  # The packages are installed.
    "python3": f'#!/bin/bash\nexec {os.path.realpath(sys.executable)} "$@"',
    "systemctl": """#!/bin/bash -e
# Starts services as systemd would, by their units.
[[ "$1" =~ start ]] || exit 0
for unit; do
  case "$unit" in
    etcd)
      set -a; . /etc/default/etcd; set +a
      setpriv --reuid=etcd --regid=etcd --clear-groups etcd >> {folder}/etcd.log 2>&1 &
      ;;
    patroni)
      # With the capability, Python may be in a folder that only root can read.
      grep -qx User=postgres /etc/systemd/system/patroni.service
      set -a; . "$(sed -n s/^EnvironmentFile=//p /etc/systemd/system/patroni.service)"; set +a
      HOME=/var/lib/postgresql setpriv --reuid=postgres --regid=postgres --init-groups \\
        --inh-caps=+dac_override --ambient-caps=+dac_override \\
        $(sed -n s/^ExecStart=//p /etc/systemd/system/patroni.service) \\
        >> {folder}/patroni.log 2>&1 &
      ;;
  esac
done
""",
}
"""Programs in place of those that would change this machine, or need systemd."""


class Namespace:
    """Processes with mounts and process numbers of their own, which end together."""

    def __init__(self, script: str, entry: Sequence[str] = ()) -> None:
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command = [*entry, *apart, "bash", "-euc", script]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        assert self._process.stdout.readline() == "ready\n"
        self._init = self._find_init()
        self.entry = ["nsenter", f"--target={self._init}", "--mount", "--pid"]

    def _find_init(self) -> int:
        # nsenter forks to enter a process namespace, and unshare to create one.
        number = self._process.pid
        while not re.search(r"^NSpid:.*\t1$", Path(f"/proc/{number}/status").read_text(), re.M):
            number = int(Path(f"/proc/{number}/task/{number}/children").read_text().split()[0])
        return number

    def run(self, script: str) -> str:
        return run_script(*self.entry, "bash", "-euc", script)

    def kill(self) -> None:
        """Kill all processes at once, as a power cut does."""
        os.kill(self._init, signal.SIGKILL)
        self._process.communicate(timeout=20)


class Machine:
    """A machine of the guide, at an address of the loopback interface."""

    def __init__(self, number: int, network: str, disks: Namespace, home: Path) -> None:
        self.name = f"pg{number}"
        self.address = f"{network}.{number}"
        self.api = f"http://{self.address}:8008"
        self._network = network
        self._disks = disks
        self._folder = home / self.name
        self._script = MACHINE.format(folder=self._folder, environment=sys.prefix)
        disks.run(f"mkdir -p {self._folder}/bin && cp -r {DEPLOY.parent} {self._folder}/deploy")
        for name, text in PROGRAMS.items():
            text = shlex.quote(text.replace("{folder}", str(self._folder)))
            program = f"{self._folder}/bin/{name}"
            disks.run(f"printf %s {text} > {program} && chmod +x {program}")
        for file in DEPLOY.iterdir():
            text = shlex.quote(self._adapt(file.read_text()))
            disks.run(f"printf %s {text} > {self._folder}/deploy/patroni/{file.name}")
        self.start()

    def start(self) -> None:
        self._namespace = Namespace(self._script, self._disks.entry)

    def run(self, script: str) -> str:
        environment = f"export PIP_NO_INDEX=1 PATH={self._folder}/bin:$PATH"
        return self._namespace.run(f"cd {self._folder}\n{environment}\n{self._adapt(script)}")

    def kill(self) -> None:
        self._namespace.kill()

    def _adapt(self, text: str) -> str:
        """Replace the addresses of the guide."""
        return text.replace("10.0.0.0/24", "127.0.0.0/8").replace("10.0.0", self._network)


def choose_network() -> str:
    """Return the first three numbers of addresses that nobody else uses."""
    random = SystemRandom()
    return f"127.{random.randrange(64, 255)}.{random.randrange(256)}"

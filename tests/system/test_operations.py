from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS
from support.programs import require
from support.shell import run_script

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GUIDE = (ROOT / "docs" / "operations.md").read_text()
UNIT = (DEPLOY / "bytelog.service").read_text()
FOLLOWER = (DEPLOY / "bytelog-follow@.service").read_text()
# test_docs.py runs the samples of the sections that are also at /docs.
OWN_PARTS = re.sub(r"<!-- from /docs:.*?<!-- end -->", "", GUIDE, flags=re.DOTALL)
BUILD, *COMMANDS = re.findall(r"```sh\n(.*?)```", OWN_PARTS, re.DOTALL)

AS_BYTELOG = "runuser -u bytelog -- env BYTELOG_DATA=/var/lib/bytelog bytelog"

MACHINE = """
mount -t tmpfs none place
for folder in etc usr/local var; do
  mkdir -p place/$folder/changes place/$folder/work
  mount -t overlay none /$folder \
    -o lowerdir=/$folder,upperdir=place/$folder/changes,workdir=place/$folder/work
done
python3 -c 'import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))  # SIOCSIFFLAGS: up'
mkdir -p /etc/letsencrypt/live/events.example
cd /etc/letsencrypt/live/events.example
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=events.example \
  -keyout privkey.pem -out fullchain.pem 2>/dev/null
echo ready
sleep 600 & wait
"""
"""A script for a container with overlays over this machine's files, which stay unchanged."""

SYSTEMCTL = """#!/bin/sh -e
# Does to bytelog what systemd would.
start() {{
  install -d -o bytelog /var/cache/bytelog
  set -a
  . /etc/bytelog.env
  chmod o+w {home}
  {environment} setpriv --reuid=bytelog --regid=bytelog --clear-groups \
    strace -D -f -qq -o {home}/calls {program} >> {home}/log 2>&1 &
  echo $! > {home}/pid
  until curl -fs -o {home}/health http://127.0.0.1:8000/healthz; do sleep 0.1; done
}}
follow() {{
  set -a
  . /etc/bytelog-follow-billing.env
  {environment} setpriv --reuid=bytelog --regid=bytelog --clear-groups \
    strace -f -qq -o {home}/follower_calls timeout 5 {follower} > {home}/follower_log 2>&1 || true
}}
stop() {{
  kill "$(cat {home}/pid)"
  while kill -0 "$(cat {home}/pid)" 2>/dev/null; do sleep 0.05; done
}}
case "$*" in
  daemon-reload) ;;
  "enable --now bytelog" | "start bytelog") start ;;
  "enable --now bytelog-follow@billing") follow ;;
  "stop bytelog") stop ;;
  "restart bytelog") stop; start ;;
esac
"""


class Machine:
    """A container in which the commands of the guide run."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "place").mkdir()
        apart = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.process = subprocess.Popen(
            ["unshare", *apart, "sh", "-euc", MACHINE], cwd=home, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self._init = int(children.read_text())

    def run(self, script: str) -> str:
        enter = ["nsenter", f"--target={self._init}", "--mount", "--net", "--pid"]
        script = f"cd {self.home}\nexport HOME={self.home} PATH={self.home}/bin:$PATH\n{script}"
        return run_script(*enter, "sh", "-euc", script)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(scope="module")
def machine(executable: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    require("root", "curl", "nginx", "openssl", "strace", "systemd-analyze")
    home = tmp_path_factory.mktemp("machine")
    shutil.copytree(DEPLOY, home / "deploy")
    (home / "dist").mkdir()
    shutil.copy(executable, home / "dist")
    environment = " ".join(re.findall(r"^Environment=(.*)", UNIT, re.MULTILINE))
    environment = environment.replace("%S", "/var/lib").replace("%C", "/var/cache")
    (program,) = re.findall(r"^ExecStart=(.*)", UNIT, re.MULTILINE)
    (follower,) = re.findall(r"^ExecStart=(.*)", FOLLOWER, re.MULTILINE)
    systemctl = SYSTEMCTL.format(
        home=home,
        environment=environment,
        program=program,
        follower=follower.replace("%i", "billing"),
    )
    (home / "bin").mkdir()
    (home / "bin" / "systemctl").write_text(systemctl)
    (home / "bin" / "systemctl").chmod(0o755)
    for folder in (home, *home.parents):
        if folder.stat().st_mode & 0o077 == 0:  # pytest's folder, which other users must pass
            folder.chmod(0o755)
    machine = Machine(home)
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def guide_output(machine: Machine) -> str:
    """Return the output of the guide's commands, run as printed one after the other."""
    return "".join(machine.run(block) for block in COMMANDS)


def test_the_guide_begins_with_the_command_that_builds_the_executable() -> None:
    assert BUILD == "deploy/build.sh\n"


def test_the_commands_of_the_guide_work_as_printed(guide_output: str) -> None:
    assert guide_output.count('{"status": "ok"}') == 2
    assert re.search(r"^byl_\w+$", guide_output, re.MULTILINE)


def test_only_the_service_can_read_the_data_and_nothing_is_lost(
    machine: Machine, guide_output: str
) -> None:
    listed = machine.run("stat -c '%U %a %n' /var/lib/bytelog /var/lib/bytelog/*")
    assert {line.split()[0] for line in listed.splitlines()} == {"bytelog"}
    assert {line.split()[1] for line in listed.splitlines()} == {"700", "600"}
    assert "alice" in machine.run(f"{AS_BYTELOG} keys list")


def test_no_key_is_written_to_the_journal(machine: Machine, guide_output: str) -> None:
    log = (machine.home / "log").read_text()
    assert "bytelog listens on" in log
    assert "byl_" not in log


def test_the_guide_names_all_metrics(guide_output: str) -> None:
    exported_metrics = set(
        re.findall(r"^# TYPE (bytelog_\w+)(?<!_created) ", guide_output, re.MULTILINE)
    )
    named_metrics = re.findall(r"^\| `(bytelog_\w+)` \| (?!PostgreSQL: )", GUIDE, re.MULTILINE)
    assert exported_metrics == set(named_metrics)


def allowed(name: str) -> set[str]:
    """Return the system calls of a group of systemd."""
    text = subprocess.check_output(["systemd-analyze", "syscall-filter", name], text=True)
    members = set(re.findall(r"^ +(@?\w[\w-]*)$", text, re.MULTILINE))
    groups = {member for member in members if member.startswith("@")}
    return members.difference(groups).union(*map(allowed, groups))


def test_the_unit_allows_every_system_call_that_bytelog_makes(
    machine: Machine, guide_output: str
) -> None:
    key = machine.run(f"{AS_BYTELOG} keys create bob").strip()
    machine.run(
        f"curl -fsS http://127.0.0.1:8000{EVENTS} -H 'Authorization: Bearer {key}'"
        f" -H 'Content-Type: application/json' -d '{json.dumps(CLICK)}'"
    )
    machine.run("systemctl stop bytelog")
    calls = (machine.home / "calls").read_text()
    assert "fdatasync" in calls
    assert set(re.findall(r"\bsocket\((\w+)", calls)) == {"AF_INET"}
    check_calls(UNIT, calls)


def check_calls(unit: str, calls: str) -> None:
    permitted, forbidden = re.findall(r"^SystemCallFilter=~?(.*)$", unit, re.MULTILINE)
    filtered = allowed(permitted).difference(*map(allowed, forbidden.split()))
    used = set(re.findall(r"^\d+ +(\w+)\(", calls, re.MULTILINE))
    assert used - filtered - allowed("@default") == set()
    families = re.findall(r"^RestrictAddressFamilies=(.*)$", unit, re.MULTILINE)
    assert set(re.findall(r"\bsocket\((\w+)", calls)) <= set(families[0].split())
    assert "PROT_WRITE|PROT_EXEC" not in calls


def test_the_follower_runs_under_the_restrictions_of_its_unit(
    machine: Machine, guide_output: str
) -> None:
    assert (machine.home / "follower_log").read_text() == ""
    calls = (machine.home / "follower_calls").read_text()
    assert "getrandom" in calls
    check_calls(FOLLOWER, calls)
    listed = machine.run("stat -c '%U %a' /etc/bytelog-follow-billing.env")
    assert listed == "root 600\n"


@pytest.mark.parametrize("unit", ["bytelog.service", "bytelog-follow@.service"])
def test_the_security_score_of_a_unit_matches_the_guide(unit: str) -> None:
    require("systemd-analyze")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager"]
    text = subprocess.check_output([*command, DEPLOY / unit], text=True)
    (score,) = re.findall(r"exposure level for bytelog\S*.service: ([\d.]+)", text)
    assert re.search(rf"exposure (at|is rated at) {re.escape(score)}\s+of 10", GUIDE)


def test_systemd_accepts_the_units(machine: Machine, guide_output: str) -> None:
    for unit in ("bytelog.service", "bytelog-follow@.service"):
        file = f"/etc/systemd/system/{unit}"
        assert machine.run(f"systemd-analyze verify --recursive-errors=no {file}") == ""

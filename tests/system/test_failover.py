from __future__ import annotations

import json
import re
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, pairwise
from pathlib import Path

import pytest
from support.api import EVENTS
from support.patroni import DISKS, Machine, Namespace, choose_network
from support.programs import PACKAGES, require
from support.server import Server, wait_for
from support.steady_clients import Follower, Recorder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "failover.md").read_text()
PASSWORD, INSTALL, CONFIGURE, START, LIST, CREATE, SWITCH = re.findall(
    r"```sh\n(.*?)```", GUIDE, re.DOTALL
)
COMPLETE = ["leader running", "quorum_standby streaming", "quorum_standby streaming"]
METRICS_KEY = "prometheus"
FAILOVER_SECONDS = 30
SWITCHOVER_SECONDS = 6


class Cluster:
    """The three machines of the guide."""

    def __init__(self, home: Path) -> None:
        self._home = home
        network = choose_network()
        self._disks = Namespace(DISKS.format(home=home))
        self.machines = [Machine(number, network, self._disks, home) for number in (1, 2, 3)]

    def set_up(self) -> None:
        """Run the commands of the guide that end with a database for bytelog."""
        first = self.machines[0]
        first.run(PASSWORD)
        password = first.run("cat deploy/patroni/password")
        first.run(INSTALL)
        for number, machine in enumerate(self.machines, 1):
            machine.run(f"printf {password} > deploy/patroni/password")
            machine.run(CONFIGURE.replace("NODE=1", f"NODE={number}"))
            machine.run(START)
        self.wait_until_complete()
        self.listing = first.run(LIST)
        first.run(CREATE)
        self.url = first.run("cat bytelog.env").strip().partition("=")[2]

    def members(self) -> list[str]:
        """Return the roles and states of the machines, by any of them."""
        return sorted(f"{member['role']} {member['state']}" for member in self._read_members())

    def leader(self) -> Machine:
        (name,) = [each["name"] for each in self._read_members() if each["role"] == "leader"]
        return next(machine for machine in self.machines if machine.name == name)

    def wait_until_complete(self) -> None:
        """Wait until the leader has two standbys that confirm commits."""
        deadline = time.monotonic() + 60
        while self.members() != COMPLETE:
            assert time.monotonic() < deadline, self.members()
            time.sleep(0.2)  # A busy Patroni would take longer.

    def close(self) -> None:
        # pytest shows it if a test fails.
        print(self._disks.run(f"tail -n 50 {self._home}/*/*.log || true"))  # noqa: T201
        for machine in self.machines:
            machine.kill()
        self._disks.kill()

    def _read_members(self) -> list[dict[str, str]]:
        for machine in self.machines:
            url = f"{machine.api}/cluster"
            with suppress(OSError), urllib.request.urlopen(url, timeout=2) as response:
                return list(json.load(response)["members"])
        return []


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    require("root", "initdb", "etcd")
    # Outside pytest's folder, which PostgreSQL's user cannot pass.
    with tempfile.TemporaryDirectory(prefix="bytelog-failover-") as home:
        Path(home).chmod(0o755)
        cluster = Cluster(Path(home))
        try:
            cluster.set_up()
            yield cluster
        finally:
            cluster.close()


def wait_for_recording(recorders: list[Recorder], seconds: float) -> None:
    """Wait until each recorder has an event acknowledged."""
    before = [len(recorder.acknowledged) for recorder in recorders]
    wait_for(
        lambda: all(
            len(recorder.acknowledged) > number
            for recorder, number in zip(recorders, before, strict=True)
        ),
        seconds,
    )


def longest_pause(recorders: list[Recorder], start: float) -> float:
    """Return the longest time without an acknowledgment from a moment on, of all recorders."""
    return max(
        later - earlier
        for recorder in recorders
        for earlier, later in pairwise(
            [start, *(moment for moment, _ in recorder.acknowledged if moment > start)]
        )
    )


def read_primaries(server: Server) -> dict[str, float]:
    """Return which servers accept events, by the metrics of a process."""
    text = server.request("/metrics", Authorization=f"Bearer {METRICS_KEY}").body.decode()
    samples = re.findall(r'^bytelog_primary{server="([\d.]+):5432"} (.+)', text, re.MULTILINE)
    return {address: float(value) for address, value in samples}


@pytest.fixture
def servers(cluster: Cluster, serve: Callable[..., Server]) -> list[Server]:
    keys = {"BYTELOG_API_KEY": Server.key, "BYTELOG_METRICS_KEY": METRICS_KEY}
    return [serve(BYTELOG_DATABASE_URL=cluster.url, **keys) for _ in range(2)]


@pytest.fixture
def clients(servers: list[Server]) -> Iterator[tuple[list[Recorder], Follower]]:
    numbers = count()
    recorders = [Recorder(server, numbers) for server in servers for _ in range(2)]
    follower = Follower(servers[0])
    for thread in (*recorders, follower):
        thread.start()
    yield recorders, follower
    for recorder in recorders:
        recorder.stop()
    follower.stop()


def test_nothing_is_lost_when_the_leader_changes_and_when_it_is_lost(
    cluster: Cluster, servers: list[Server], clients: tuple[list[Recorder], Follower]
) -> None:
    recorders, follower = clients
    wait_for_recording(recorders, 10)
    assert change_leader(cluster, recorders) < SWITCHOVER_SECONDS
    cluster.wait_until_complete()
    leader = cluster.leader()
    assert lose_leader(cluster, servers, recorders) < FAILOVER_SECONDS
    leader.start()
    leader.run(START)
    cluster.wait_until_complete()
    acknowledged = [number for recorder in recorders for number in recorder.stop()]
    followed = follower.stop()
    listing = servers[1].request(f"{EVENTS}?order=arrival")
    stored = [event["id"] for event in json.loads(listing.body)["events"]]
    assert sorted(stored) == sorted(acknowledged)
    assert followed == stored
    assert set.union(*(recorder.statuses for recorder in recorders)) == {"201 None", "503 1"}


def change_leader(cluster: Cluster, recorders: list[Recorder]) -> float:
    """Return for how long nothing was recorded while a leader was replaced by the guide."""
    start, leader = time.monotonic(), cluster.leader()
    cluster.machines[0].run(SWITCH)
    assert cluster.leader() is not leader
    wait_for_recording(recorders, SWITCHOVER_SECONDS)
    return report("switchover", longest_pause(recorders, start))


def lose_leader(cluster: Cluster, servers: list[Server], recorders: list[Recorder]) -> float:
    """Return the time from the end of a leader until each recorder could record again."""
    leader = cluster.leader()
    primaries = {machine.address: float(machine is leader) for machine in cluster.machines}
    assert [read_primaries(server) for server in servers] == [primaries, primaries]
    start = time.monotonic()
    leader.kill()
    wait_for(lambda: all(server.request("/healthz").status == 503 for server in servers))
    assert set(read_primaries(servers[0]).values()) == {0}
    wait_for_recording(recorders, FAILOVER_SECONDS)
    seconds = report("failover", time.monotonic() - start)
    assert [server.request("/healthz").status for server in servers] == [200, 200]
    assert read_primaries(servers[1])[cluster.leader().address] == 1
    return seconds


def report(name: str, seconds: float) -> float:
    print(f"{name}: {seconds:.1f} s")  # noqa: T201  # pytest shows it if the test fails
    return seconds


def test_the_guide_shows_what_a_complete_cluster_looks_like(cluster: Cluster) -> None:
    assert len(re.findall(r"\| Leader +\| running ", cluster.listing)) == 1
    assert len(re.findall(r"\| Quorum Standby +\| streaming ", cluster.listing)) == 2


def test_the_guide_installs_what_the_test_uses() -> None:
    packages = re.findall(r"[a-z0-9-]+", INSTALL.splitlines()[0].partition("--yes")[2])
    assert set(packages) - {"python3-venv"} <= set(PACKAGES.values())
    project = (ROOT / "pyproject.toml").read_text()
    assert all(f'"{name}"' in project for name in re.findall(r"'(.*?)'", INSTALL))

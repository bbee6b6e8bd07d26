"""A cluster that stays: up, kubectl, status, down."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from ha.spec.faults import FIELDS
from tests.e2e.cli.ha import COMMAND, ha, processes_of, wait_gone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """A home of our own, with a cluster that is up; none is left when we go."""
    path = tmp_path_factory.mktemp("home")
    done = ha("up", "stacked-3", "--json", home=path)
    assert done.returncode == 0, done.stderr
    yield path
    ha("down", "--all", home=path)
    assert wait_gone(path, within_s=2) == []


def _state(home: Path) -> dict:
    return json.loads((home / ".local/state/ha/stacked-3/cluster.json").read_text())


def _kubectl(home: Path, *arguments: str) -> str:
    if shutil.which("kubectl") is None:
        if os.environ.get("CI"):
            pytest.fail("kubectl is missing, and CI must test with it")
        pytest.skip("kubectl is not installed")
    command = ["kubectl", "--kubeconfig", _state(home)["kubeconfig"], *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_status_says_that_all_is_well(home: Path) -> None:
    done = ha("status", "--json", home=home)
    assert done.returncode == 0, done.stdout
    (cluster,) = json.loads(done.stdout)["clusters"]
    assert cluster["healthy"] is True
    assert cluster["etcd_leader"] in {node["name"] for node in cluster["nodes"]}
    assert [node["ready"] for node in cluster["nodes"] if node["role"] == "worker"] == ["True", "True"]
    assert [node["proxy"] for node in cluster["nodes"]] == ["ok"] * 5 + [None]


def test_a_fault_by_hand_takes_effect_and_is_undone(home: Path) -> None:
    done = ha("chaos", "partition", "etcd-leader", "--for", "1s", home=home)
    assert done.returncode == 0, done.stdout + done.stderr
    injected, evidence, undone, what_it_did = done.stdout.splitlines()
    assert injected.startswith("partition etcd-leader → control-plane-")
    assert "cut of 10 links" in evidence
    assert undone.startswith("undo partition of etcd-leader")
    assert "bytes held" in what_it_did


@pytest.mark.parametrize("last", [signal.SIGINT, signal.SIGKILL])
def test_a_fault_by_hand_is_undone_when_its_user_leaves(home: Path, last: signal.Signals) -> None:
    worker = next(node["address"] for node in _state(home)["nodes"] if node["name"] == "worker-1")
    environment = os.environ | {"HOME": str(home)}
    command = [*COMMAND, "chaos", "pause", "worker-1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as chaos:
        try:
            assert "pause worker-1" in chaos.stdout.readline()
            assert "SIGSTOP" in chaos.stdout.readline()
            with pytest.raises(TimeoutError):
                urllib.request.urlopen(f"http://{worker}:10250/healthz", timeout=0.5)
            chaos.send_signal(last)
            said = chaos.stdout.read()
        finally:
            chaos.kill()
    assert chaos.returncode == (0 if last == signal.SIGINT else -signal.SIGKILL)
    assert ("undo pause of worker-1" in said) == (last == signal.SIGINT)
    with urllib.request.urlopen(f"http://{worker}:10250/healthz", timeout=5) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["delay", "etcd-leader"], "latency: is missing: a delay needs it"),
        (["pause", "worker-9"], "target: "),
        (["pause", "worker-1", "--latency", "1s"], "latency: a pause has no latency"),
        (["pause", "worker-1", "--for", "3"], "for: found '3'; allowed: a duration such as 300ms, 2s or 1m30s"),
        (["clock-rate", "worker-1", "--rate", "1000"], "rate: "),
        (["clock-rate", "worker-1", "--rate", "fast"], "rate: found 'fast'; allowed: a number"),
        (["disk-full", "worker-1"], "target: on worker of 'stacked-3' nothing is kept on a disk"),
        (["pause", "worker-1", "--name", "other"], "no cluster 'other' is up; up: stacked-3"),
        (["pause"], "say which fault hits whom"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(home: Path, arguments: list[str], says: str) -> None:
    done = ha("chaos", *arguments, home=home)
    assert done.returncode == 2, done.stdout
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_all_faults_can_be_listed(home: Path) -> None:
    done = ha("chaos", "--list", home=home)
    assert [line.split()[0] for line in done.stdout.splitlines()] == sorted(FIELDS)


def test_kubectl_sees_readiness_and_nodes(home: Path) -> None:
    assert _kubectl(home, "get", "--raw", "/readyz") == "ok"
    nodes = json.loads(_kubectl(home, "get", "nodes", "-o", "json"))["items"]
    names = sorted(node["metadata"]["name"] for node in nodes)
    assert names == ["control-plane-1", "control-plane-2", "control-plane-3", "worker-1", "worker-2"]


def test_a_service_reaches_its_pods_through_every_node(home: Path) -> None:
    _kubectl(home, "create", "-f", str(Path(__file__).parents[3] / "docs" / "web.yaml"))
    _kubectl(home, "patch", "service", "web", "--type=merge", "-p", '{"spec": {"type": "LoadBalancer"}}')
    _kubectl(home, "rollout", "status", "deployment/web", "--timeout=20s")
    pods = set(_kubectl(home, "get", "pods", "-o", "jsonpath={.items[*].metadata.name}").split())
    nodes = {node["name"]: node["address"] for node in _state(home)["nodes"] if "worker" in node["role"]}
    nodes |= {"control-plane-2": next(n["address"] for n in _state(home)["nodes"] if n["name"] == "control-plane-2")}
    for address in nodes.values():
        assert _eventually_answered_by(f"http://{address}:30080/", pods)
    ingress = _kubectl(home, "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[*].ip}").split()
    assert ingress == [nodes["worker-1"], nodes["worker-2"]]


def _eventually_answered_by(url: str, pods: set[str], within_s: float = 10) -> bool:
    """Whether connections come to all of these pods, and to no other."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        answers = set()
        for _ in range(40):
            try:
                with urllib.request.urlopen(url, timeout=2) as answer:
                    answers.add(answer.read().decode())
            except OSError:
                time.sleep(0.05)  # not listened on yet
        if answers == pods:
            return True
    return False


def test_a_second_cluster_of_the_same_name_is_refused(home: Path) -> None:
    done = ha("up", "stacked-3", home=home)
    assert done.returncode == 2
    assert "is up or coming up already" in done.stderr


def test_an_unknown_cluster_is_refused_with_the_known_ones(home: Path) -> None:
    done = ha("status", "nonesuch", home=home)
    assert done.returncode == 2
    assert "stacked-3" in done.stderr


def test_the_cluster_dies_with_its_keeper(tmp_path: Path) -> None:
    assert ha("up", "single-node", home=tmp_path).returncode == 0
    state = json.loads((tmp_path / ".local/state/ha/single-node/cluster.json").read_text())
    os.kill(state["pid"], signal.SIGKILL)
    assert wait_gone(tmp_path, within_s=2) == []
    assert ha("up", "single-node", home=tmp_path).returncode == 0
    assert ha("down", home=tmp_path).returncode == 0
    assert processes_of(tmp_path) == []


def test_of_two_at_once_one_gets_the_name(tmp_path: Path) -> None:
    environment = os.environ | {"HOME": str(tmp_path)}
    both = [
        subprocess.Popen(
            [*COMMAND, "up", "single-node"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=100) for process in both]
    assert sorted(process.returncode for process in both) == [0, 2], said
    assert len(json.loads(ha("status", "--json", home=tmp_path).stdout)["clusters"]) == 1
    assert ha("down", home=tmp_path).returncode == 0
    assert wait_gone(tmp_path, within_s=2) == []


def test_a_damaged_state_is_told_in_a_line_and_can_be_cleared(tmp_path: Path) -> None:
    assert ha("up", "single-node", home=tmp_path).returncode == 0
    file = tmp_path / ".local/state/ha/single-node/cluster.json"
    pid = json.loads(file.read_text())["pid"]
    file.write_text("{")
    done = ha("status", home=tmp_path)
    assert done.returncode == 1
    assert str(file) in done.stderr
    assert "Traceback" not in done.stderr
    assert ha("down", "single-node", home=tmp_path).returncode == 0
    assert wait_gone(tmp_path, within_s=2) == []
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text()


def test_a_store_alone_stays_without_a_kubeconfig(tmp_path: Path) -> None:
    try:
        up = ha("up", "etcd-3", home=tmp_path)
        assert up.returncode == 0, up.stderr
        assert "etcd v3 as JSON: http://127." in up.stdout
        assert "KUBECONFIG" not in up.stdout
        done = ha("status", "--json", home=tmp_path)
        assert done.returncode == 0, done.stdout
        (cluster,) = json.loads(done.stdout)["clusters"]
        assert (cluster["healthy"], cluster["endpoint"], cluster["kubeconfig"]) == (True, None, None)
        assert sorted(node["etcd"] for node in cluster["nodes"]) == ["follower", "follower", "leader"]
        assert "endpoint" not in ha("status", home=tmp_path).stdout
    finally:
        ha("down", "--all", home=tmp_path)
    assert wait_gone(tmp_path, within_s=2) == []


def test_nothing_is_left_of_a_cluster_whose_coming_up_was_interrupted(tmp_path: Path) -> None:
    place = tmp_path / ".local/state/ha"
    up = subprocess.Popen(
        [*COMMAND, "up", "stacked-3"], env=os.environ | {"HOME": str(tmp_path)}, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (place / "stacked-3").exists():
        assert time.monotonic() < deadline, "it never began"
        time.sleep(0.01)
    up.send_signal(signal.SIGINT)
    _, said = up.communicate(timeout=60)
    assert up.returncode == 130, said
    assert list(place.iterdir()) == []
    assert wait_gone(tmp_path, within_s=2) == []

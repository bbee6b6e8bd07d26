"""What the real etcd is told."""

from __future__ import annotations

import subprocess

import msgspec
import pytest

from ha.etcd import binary
from tests.unit.etcd.support import etcd_binary

CONFIG = binary.Config(
    binary="/opt/etcd",
    name="b",
    members={"a": "127.1.0.10:2380", "b": "127.1.0.11:2380"},
    client_url="127.1.0.11:2379",
    cluster_token="t",
    heartbeat_s=0.01,
    election_s=0.1,
    snapshot_count=500,
)


def test_a_member_listens_on_its_own_addresses_and_knows_the_cluster() -> None:
    program, *flags = binary.arguments(CONFIG)
    assert program == "/opt/etcd"
    assert {
        "--name=b",
        "--listen-client-urls=http://127.1.0.11:2379",
        "--advertise-client-urls=http://127.1.0.11:2379",
        "--listen-peer-urls=http://127.1.0.11:2380",
        "--initial-advertise-peer-urls=http://127.1.0.11:2380",
        "--initial-cluster=a=http://127.1.0.10:2380,b=http://127.1.0.11:2380",
        "--initial-cluster-token=t",
    } <= set(flags)


def test_timings_become_milliseconds_and_the_data_is_kept_on_its_own_disk() -> None:
    flags = binary.arguments(CONFIG)
    assert {"--heartbeat-interval=10", "--election-timeout=100", "--snapshot-count=500", "--data-dir=data"} < set(flags)
    slow = msgspec.structs.replace(CONFIG, heartbeat_s=0.029, election_s=1.0)
    assert {"--heartbeat-interval=29", "--election-timeout=1000"} < set(binary.arguments(slow))


@pytest.mark.parametrize("flag", binary.arguments(CONFIG)[1:])
def test_the_real_one_knows_every_flag(flag: str) -> None:
    command = [etcd_binary(), flag, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr

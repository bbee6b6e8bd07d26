"""What HAProxy is told, held against HAProxy itself, and what it says of its backends."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ha.balancer import Config
from ha.balancer.haproxy import BackendState, backend_states, configuration
from ha.world.real.foreign import ForeignProgramError, find_haproxy

BACKENDS = {f"control-plane-{i}": f"127.1.0.{9 + i}:6443" for i in (1, 2, 3)}


def haproxy_binary() -> str:
    """The path of a real HAProxy. Skips the test when there is none, and fails it in CI, which must install one."""
    try:
        return find_haproxy().path
    except ForeignProgramError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have a real HAProxy: {error}")
        pytest.skip(f"no real HAProxy here: {error}; {error.advice}")


@pytest.mark.parametrize("interval_s", [0.1, 1.0, 10.0])
def test_haproxy_finds_nothing_wrong_with_its_configuration(tmp_path: Path, interval_s: float) -> None:
    """Warnings included: -c with -dW fails for them."""
    config = Config(backends=BACKENDS, check_interval_s=interval_s, check_timeout_s=max(0.5, interval_s))
    file = tmp_path / "haproxy.cfg"
    file.write_text(configuration(config, "127.1.0.9"))
    done = subprocess.run([haproxy_binary(), "-c", "-dW", "-f", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_checks_as_often_and_as_patiently_as_ours() -> None:
    text = configuration(
        Config(backends=BACKENDS, check_interval_s=0.1, check_timeout_s=0.5, fall=3, rise=2), "127.1.0.9"
    )
    assert "inter 100ms fastinter 25ms downinter 100ms fall 3 rise 2" in text
    assert "timeout check 500ms" in text
    assert "uri /readyz" in text
    assert "server control-plane-2 127.1.0.11:6443 check" in text
    assert "bind 127.1.0.9:6443" in text
    assert "source 127.1.0.9" in text, "API servers are to see the load balancer's node"


def test_states_are_those_of_the_servers_of_its_pool() -> None:
    text = """\
# pxname,svname,qcur,status,check_status,last_chk,
control-plane,FRONTEND,,OPEN,,,
apiservers,control-plane-1,0,UP,L7OK,OK,
apiservers,control-plane-2,0,UP 1/2,* L4CON,Connection refused,
apiservers,control-plane-3,0,DOWN,L4TOUT,,
apiservers,BACKEND,0,UP,,,
statistics,FRONTEND,,OPEN,,,
"""
    assert backend_states(text) == {
        "control-plane-1": BackendState(True, "UP L7OK OK"),
        "control-plane-2": BackendState(True, "UP 1/2 * L4CON Connection refused"),
        "control-plane-3": BackendState(False, "DOWN L4TOUT"),
    }
    assert backend_states("") == {}

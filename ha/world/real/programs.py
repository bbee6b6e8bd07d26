"""From a program's name to what the zygote can run: its ``serve`` and the type of its configuration.

Both are found before the fork, so that a wrong name or a wrong configuration is an error of whoever asked
for the start, not a crash of the started.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import msgspec

from ha.world import Host

__all__ = ["Program", "ProgramError", "load", "preload"]


class ProgramError(ValueError):
    """There is no such program, or it cannot take this configuration."""


@dataclass(frozen=True, slots=True)
class Program:
    """An importable ``async def serve(host, config, *, task_status)``."""

    name: str
    serve: Callable[[Host, object], Awaitable[None]]
    config_type: object

    def decode(self, config: bytes) -> object:
        """The configuration from JSON. Raises ProgramError."""
        try:
            return msgspec.json.decode(config, type=self.config_type)
        except msgspec.MsgspecError as error:
            raise ProgramError(f"configuration of {self.name}: {error}") from error


def preload(module_name: str) -> ModuleType:
    """Import a module. Raises ProgramError; also when it leaves a thread behind, which forbids to fork."""
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise ProgramError(f"cannot import {module_name}: {type(error).__name__}: {error}") from error
    if len(list(Path("/proc/self/task").iterdir())) > 1:
        raise ProgramError(f"importing {module_name} started a thread: a process with threads cannot be forked")
    return module


@functools.cache
def load(name: str) -> Program:
    """Import ``"package.module:function"``. Raises ProgramError."""
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise ProgramError(f"not a program (package.module:function): {name!r}")
    module = preload(module_name)
    serve = getattr(module, function_name, None)
    if not inspect.iscoroutinefunction(serve):
        raise ProgramError(f"{module_name} has no async function {function_name}")
    try:
        config_type = typing.get_type_hints(serve)["config"]
    except (NameError, KeyError) as error:
        raise ProgramError(f"{name} does not annotate its parameter config: {error}") from error
    return Program(name, serve, config_type)

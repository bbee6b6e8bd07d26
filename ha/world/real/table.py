"""The process tables of all nodes: who runs where, and which starts are admitted. No I/O.

They live in the zygote, so they outlive any process of the node that uses them: a restarted kubelet finds
its containers here, labels and all.

A node is *down* until it is booted, and again from the moment that it was killed: a start that one of its
dying processes had asked for is refused. `Node.group` is its process group as long as it has a member, also
when the process that founded it is gone (the kernel does not reuse a pid that still names a group).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ha.world import ProcessInfo

__all__ = ["Node", "Table"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}")


@dataclass(slots=True)
class Node:
    """One node's table."""

    name: str
    address: str
    up: bool = False
    group: int | None = None
    processes: dict[str, ProcessInfo] = field(default_factory=dict)
    incarnations: dict[str, int] = field(default_factory=dict)

    def listing(self) -> list[ProcessInfo]:
        """What runs, sorted by name."""
        return [self.processes[name] for name in sorted(self.processes)]

    def select(self, name: str | None) -> dict[str, ProcessInfo]:
        """One process, or all of them. Raises LookupError when that is nothing."""
        if name is None:
            chosen = dict(sorted(self.processes.items()))
        else:
            chosen = {name: self.processes[name]} if name in self.processes else {}
        if not chosen:
            what = "nothing" if name is None else f"no process {name!r}"
            raise LookupError(f"{what} runs on node {self.name}")
        return chosen


class Table:
    """All nodes of the run."""

    def __init__(self, nodes: dict[str, str]) -> None:
        self.nodes = {name: Node(name, address) for name, address in nodes.items()}
        self._by_pid: dict[int, tuple[Node, ProcessInfo]] = {}

    def node(self, name: str) -> Node:
        """Raises LookupError."""
        if name not in self.nodes:
            raise LookupError(f"no node {name!r}")
        return self.nodes[name]

    def admit(self, node: Node, name: str, *, boot: bool) -> int:
        """Check a start; the incarnation (from 1) that the process will be. Raises ValueError."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a process name: {name!r}")
        if name in node.processes:
            raise ValueError(f"{name!r} runs on node {node.name} already")
        if not node.up and not boot:
            raise ValueError(f"node {node.name} is down")
        if not node.up and node.processes:
            raise ValueError(f"node {node.name} is still going down: {', '.join(sorted(node.processes))}")
        return node.incarnations.get(name, 0) + 1

    def add(self, node: Node, info: ProcessInfo) -> int:
        """Record an admitted process that was forked; the process group that it belongs in."""
        node.up = True
        if node.group is None:
            node.group = info.pid
        node.processes[info.name] = info
        node.incarnations[info.name] = node.incarnations.get(info.name, 0) + 1
        self._by_pid[info.pid] = node, info
        return node.group

    def remove(self, pid: int) -> tuple[Node, ProcessInfo] | None:
        """Forget a reaped process; None when it is not one of ours."""
        found = self._by_pid.pop(pid, None)
        if found is not None:
            node, info = found
            del node.processes[info.name]
            if not node.processes:
                node.group = None
        return found

"""Drives members by hand, message by message, in time that the test moves: stock PySyncObj and ours alike.

A `Schedule` holds members and one bag of messages that were sent and not yet delivered. The same steps run on
either class; `kind` gives messages one set of names. `StockMember` is PySyncObj's own class with its own journal
and serializer; only the clock and the transport are the test's.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Callable, Iterator
from random import Random

from pysyncobj import SyncObj, SyncObjConf, replicated
from pysyncobj.node import Node
from pysyncobj.transport import Transport

from ha.raft import binding, messages
from ha.raft.core import RaftCore, Timing
from ha.raft.journal import Journal

HEARTBEAT_S, ELECTION_S = 0.1, 1.0
STEP_S = 0.11
FAR = 1e9

logging.getLogger("pysyncobj").addHandler(logging.NullHandler())
logging.getLogger("pysyncobj").propagate = False

KINDS = {
    "append_entries": "append",
    "next_node_idx": "ack",
    "request_vote": "request_vote",
    "response_vote": "vote",
    "Append": "append",
    "Heartbeat": "append",
    "SnapshotChunk": "snapshot",
    "Appended": "ack",
    "Rejected": "ack",
    "SnapshotReceived": "ack",
    "RequestVote": "request_vote",
    "Vote": "vote",
    "PreVote": "pre_vote",
    "PreVoteGranted": "pre_vote_granted",
    "HigherTerm": "higher_term",
    "WhoAreYou": "who_are_you",
    "IAm": "i_am",
}


def kind(message) -> str:
    if isinstance(message, dict):
        if message["type"] == "append_entries" and message.get("serialized"):
            return "snapshot"
        return KINDS.get(message["type"], message["type"])
    return KINDS[type(message).__name__]


class Schedule:
    """Members by name, the bag of messages, and the time."""

    def __init__(self, names: str, make: Callable[..., Member], *, now: float = 1000.0, **options) -> None:
        self.names, self.make, self.options = list(names), make, options
        self.now = now
        self.bag: list[tuple[str, str, object]] = []
        self.members: dict[str, Member] = {}
        self.clock_reads = 0
        for name in self.names:
            self.start(name)

    def clock(self) -> float:
        self.clock_reads += 1
        return self.now

    def start(self, name: str, **options) -> Member:
        self.members[name] = member = self.make(self, name, **{**self.options, **options})
        member.hold_still()
        for other in self.names:
            if other != name and other in self.members:
                member.connect(other)
                self.members[other].connect(name)
        return member

    def crash(self, *names: str) -> None:
        for name in names:
            self.members.pop(name).close()
        self.bag = [item for item in self.bag if item[0] in self.members and item[1] in self.members]

    def take(self, source=None, destination=None, what: str | None = None) -> list[tuple[str, str, object]]:
        """Remove messages from the bag: to be given later, twice, or never."""
        taken = [
            item
            for item in self.bag
            if (source is None or item[0] in source)
            and (destination is None or item[1] in destination)
            and (what is None or kind(item[2]) == what)
        ]
        self.bag = [item for item in self.bag if item not in taken]
        return taken

    def give(self, items) -> None:
        for source, destination, message in items:
            if destination in self.members:
                self.members[destination].receive(source, message)

    def tick(self, *names: str) -> None:
        for name in names:
            self.members[name].tick()

    def settle(self, only: str, rounds: int = 8) -> None:
        """Let some members talk among each other, and keep their election timers from expiring."""
        for _ in range(rounds):
            self.tick(*only)
            self.give(self.take(only, only))
            self.now += STEP_S
            for name in only:
                self.members[name].hold_still()
        self.tick(*only)

    def elect(self, name: str, voters: str) -> None:
        """Make a member campaign, with these voters only."""
        self.now += 2 * ELECTION_S
        for _ in range(4):
            self.members[name].time_out()
            self.tick(name)
            for what, answer in (("pre_vote", "pre_vote_granted"), ("request_vote", "vote")):
                self.give(self.take([name], voters, what))
                self.give(self.take(voters, [name], answer))
                self.give(self.take(voters, [name], "higher_term"))
                self.take(what=what)
                self.tick(name)
            if self.members[name].is_leader():
                return
        raise AssertionError(f"{name} was not elected")


class Member:
    """What both classes are driven through."""

    def __init__(self, schedule: Schedule, name: str) -> None:
        self.schedule, self.name = schedule, name
        self.others = [other for other in schedule.names if other != name]

    def hold_still(self) -> None:
        self.core._SyncObj__raftElectionDeadline = FAR

    def time_out(self) -> None:
        self.core._SyncObj__raftElectionDeadline = 0

    def close(self) -> None:
        """Let go of files; nothing is written that was not written before."""

    def is_leader(self) -> bool:
        return self.core._isLeader()

    def term(self) -> int:
        return self.core.raftCurrentTerm

    def commit(self) -> int:
        return self.core.raftCommitIndex

    def last(self) -> int:
        return self.core._SyncObj__raftLog[-1][1]


class _Bag(Transport):
    def __init__(self, schedule: Schedule, name: str) -> None:
        super().__init__(None, None, None)
        self._schedule, self._name = schedule, name

    def send(self, node, message) -> bool:
        self._schedule.bag.append((self._name, node.id, pickle.loads(pickle.dumps(message))))
        return True


class Stock(SyncObj):
    """Stock PySyncObj with a list as its state."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.commands: list[bytes] = []

    @replicated
    def put(self, command: bytes) -> int:
        self.commands.append(command)
        return len(self.commands)


class StockMember(Member):
    def __init__(self, schedule: Schedule, name: str, **conf) -> None:
        super().__init__(schedule, name)
        directory = conf.pop("directory", None)
        settings = {"logCompactionMinEntries": 10**9, "logCompactionMinTime": 10**9, "useFork": False, **conf}
        if directory is not None:
            settings["journalFile"] = str(directory / f"{name}.journal")
            if settings.pop("dump", True):
                settings["fullDumpFile"] = str(directory / f"{name}.dump")
        self.enter()
        self.transport = _Bag(schedule, name)
        self.core = Stock(
            Node(name),
            [Node(other) for other in self.others],
            conf=SyncObjConf(autoTick=False, **settings),
            transport=self.transport,
            nodeClass=Node,
        )
        self.answers: dict[bytes, object] = {}

    def enter(self) -> None:
        binding._clock = self.schedule.clock

    def connect(self, other: str) -> None:
        self.transport._onNodeConnected(Node(other))

    def close(self) -> None:
        self.core._SyncObj__raftLog._destroy()

    def propose(self, command: bytes) -> None:
        def answer(result, failure) -> None:
            self.answers[command] = failure or "ok"

        self.enter()
        self.core.put(command, callback=answer)

    def acknowledged(self) -> set[bytes]:
        return {command for command, answer in self.answers.items() if answer == "ok"}

    def receive(self, source: str, message) -> None:
        self.enter()
        self.transport._onMessageReceived(Node(source), message)

    def tick(self) -> None:
        self.enter()
        self.core.doTick(0)

    @property
    def commands(self) -> list[bytes]:
        return self.core.commands

    def compact(self) -> None:
        self.core.forceLogCompaction()
        self.tick()

    def request_vote(self, term: int, last_index: int = 1, last_term: int = 0) -> object:
        return {"type": "request_vote", "term": term, "last_log_index": last_index, "last_log_term": last_term}


class _List:
    def __init__(self) -> None:
        self.commands: list[bytes] = []

    def apply(self, _index: int, command: bytes) -> None:
        self.commands.append(command)

    def admit(self, _member: str) -> None:
        pass

    def snapshot(self) -> Iterator[bytes]:
        return iter([pickle.dumps(self.commands)])

    def restore(self, parts: Iterator[bytes]) -> None:
        self.commands[:] = pickle.loads(next(parts))


class OurMember(Member):
    def __init__(self, schedule: Schedule, name: str, *, journal: Journal | None = None, snapshot_every=10**9) -> None:
        super().__init__(schedule, name)
        self.machine = _List()
        self.journal = journal or Journal()
        self.proposed: list[bytes] = []
        self.core = RaftCore(
            name,
            self.others,
            journal=self.journal,
            machine=self.machine,
            clock=schedule.clock,
            random=Random(name),
            timing=Timing(HEARTBEAT_S, ELECTION_S, snapshot_every),
        )

    def connect(self, other: str) -> None:
        self.core.peer_connected(other)

    def propose(self, command: bytes) -> None:
        self.proposed.append(command)
        self.core.propose(command)

    def acknowledged(self) -> set[bytes]:
        """What a caller of this member would have been told is done."""
        return set(self.proposed) & set(self.commands)

    def receive(self, source: str, message: messages.RaftMessage) -> None:
        self.core.receive(source, message)
        self._collect()

    def tick(self) -> None:
        self.core.tick()
        self._collect()

    def _collect(self) -> None:
        outbox = self.core.outbox
        for peer, message in [*outbox.early, *outbox.held]:
            self.schedule.bag.append((self.name, peer, message))
        outbox.early.clear()
        outbox.held.clear()

    @property
    def commands(self) -> list[bytes]:
        return self.machine.commands

    def compact(self) -> None:
        before, self.core._timing = self.core._timing, self.core._timing._replace(snapshot_every=1)
        self.tick()
        self.core._timing = before
        following = self.journal._next
        following.snapshot.pieces.extend(following.missing)
        self.journal._cut(following)

    def request_vote(self, term: int, last_index: int = 1, last_term: int = 0) -> object:
        return messages.RequestVote(term, last_index, last_term)

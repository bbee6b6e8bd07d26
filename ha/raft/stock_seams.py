"""Where stock PySyncObj touches the machine, and what it finds there instead. Nothing in here decides anything.

No method of PySyncObj is overridden or replaced. Rebound are the globals of its modules through which it reaches for
the clock, randomness, files and its log:

    syncobj.monotonicTime     a clock of the member's own (`Clock`), through `ha.raft.binding`
    syncobj.random            ``host.random``
    syncobj.os                whether a dump exists
    syncobj.logger            ``host.log``; serializer.logger as well
    journal.ResizableFile     the journal's memory map: `ha.raft.stock_files`
    journal.open, .shutil     the term file
    serializer.open, .atomicReplace, .gzip    the dump; compressed without a date
    syncobj.pickle, serializer.pickle, journal.loads    as before, but what is read may only contain plain data

Each falls back to the original for whoever is not one of our members (a member's paths are `FilePath`s; clock,
randomness and log are a member's while its `Seams` are entered), so other users of PySyncObj in the same process
notice nothing. Several members live in one process in the simulated world; one is entered at a time, synchronously.
"""

from __future__ import annotations

import gzip
import pickle
import sys
from collections.abc import Callable
from functools import partial
from io import BytesIO
from types import ModuleType, SimpleNamespace
from typing import IO, Any

import trio
from pysyncobj import journal, serializer, syncobj
from pysyncobj import pickle as stock_pickle

from ha.raft.binding import use_clock
from ha.raft.stock_files import FilePath, JournalFile
from ha.world import Host

__all__ = ["Clock", "Seams"]

STEP_S = 50e-6
"""What PySyncObj needs to pickle, compress and send one message, about (12 + 5 µs for the first two, measured)."""
_PLAIN = {
    ("__builtin__", "set"),
    ("builtins", "set"),
    ("_codecs", "encode"),
    ("ha.raft.binding", "Peer"),
    ("pysyncobj.node", "Node"),
    ("pysyncobj.node", "TCPNode"),
}


class Clock:
    """trio's clock, except that it moves whenever it is read.

    PySyncObj ends some of its loops by the clock alone: while a snapshot is being written it floods its followers
    with empty messages for a whole heartbeat. In virtual time such a loop would never end. So a reading that finds
    trio's clock where it was is a step later: the time that the work in between takes. The driver waits until trio's
    clock has caught up, as the process would have been busy until then.
    """

    def __init__(self) -> None:
        self.latest = trio.current_time()

    def __call__(self) -> float:
        """Seconds; strictly increasing."""
        now = trio.current_time()
        self.latest = now if now > self.latest else self.latest + STEP_S
        return self.latest


class Seams:
    """The machine of one member. A context manager: everything that PySyncObj does for the member happens inside."""

    def __init__(self, host: Host, clock: Clock) -> None:
        self.random, self.log, self._clock = host.random, host.log, clock
        self._outer: tuple[Seams | None, Callable[[], float]] | None = None

    def __enter__(self) -> None:
        global _entered  # noqa: PLW0603  (PySyncObj finds its machine through globals only)
        assert self._outer is None, "a member is entered once at a time"
        self._outer = _entered, use_clock(self._clock)
        _entered = self

    def __exit__(self, *_: object) -> None:
        global _entered
        assert self._outer is not None
        _entered, clock = self._outer
        self._outer = None
        use_clock(clock)


_entered: Seams | None = None


class _Random:
    def __init__(self, original: ModuleType) -> None:
        self._original = original

    def random(self) -> float:
        random: Callable[[], float] = self._original.random if _entered is None else _entered.random.random
        return random()


class _Logger:
    """Says it in the member's log, or to the original logger."""

    def __init__(self, original: Any) -> None:  # noqa: ANN401  (PySyncObj is untyped)
        self._original = original

    def _say(self, level: str, message: str, *values: object) -> None:
        if _entered is None:
            getattr(self._original, level)(message, *values)
            return
        error = sys.exc_info()[1]
        fields = {"error": repr(error)} if error is not None else {}
        _entered.log(message % values if values else message, **fields)

    def __getattr__(self, level: str) -> Callable[..., None]:
        return partial(self._say, level)


def _open(path: str, mode: str = "r") -> IO[Any]:
    if isinstance(path, FilePath):
        return path.files.open(path, mode)
    return open(path, mode)  # noqa: PTH123  (somebody else's PySyncObj)


def _rename(original: Callable[[str, str], object], old: str, new: str) -> None:
    if isinstance(new, FilePath):
        new.files.rename(old, new)
    else:
        original(old, new)


def _exists(original: Callable[[str], bool], path: str) -> bool:
    return path.files.exists(path) if isinstance(path, FilePath) else original(path)


def _journal_file(original: Callable[..., object], path: str, **options: object) -> object:
    return JournalFile(path) if isinstance(path, FilePath) else original(path, **options)


class _PlainUnpickler(pickle.Unpickler):
    """PySyncObj unpickles what its peers send. Here that cannot name a function to call."""

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  (as the original)
        if (module, name) not in _PLAIN:
            raise pickle.UnpicklingError(f"{module}.{name} is no plain data")
        return super().find_class(module, name)


def _load(file: IO[bytes]) -> object:
    return _PlainUnpickler(file).load()


def _loads(data: bytes) -> object:
    return _load(BytesIO(data))


syncobj.random = _Random(syncobj.random)
syncobj.os = SimpleNamespace(path=SimpleNamespace(isfile=partial(_exists, syncobj.os.path.isfile)))
syncobj.logger = _Logger(syncobj.logger)
syncobj.pickle = SimpleNamespace(dumps=stock_pickle.dumps, loads=_loads)
journal.ResizableFile = partial(_journal_file, journal.ResizableFile)
journal.open = _open
journal.shutil = SimpleNamespace(move=partial(_rename, journal.shutil.move))
journal.loads = _loads
serializer.logger = _Logger(serializer.logger)
serializer.open = _open
serializer.atomicReplace = partial(_rename, serializer.atomicReplace)
serializer.gzip = SimpleNamespace(GzipFile=partial(gzip.GzipFile, mtime=0))
serializer.pickle = SimpleNamespace(dump=stock_pickle.dump, load=_load, to_bytes=stock_pickle.to_bytes)

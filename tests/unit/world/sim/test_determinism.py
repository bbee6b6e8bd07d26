"""The same seed does the same, in every process; what would break that is found."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
import time
import uuid

import pytest
import trio
import trio.lowlevel
import trio.testing

from ha.world import Address
from ha.world.sim import EscapeError, StuckError, clock, first_difference, open_world, scheduling, simulate
from ha.world.sim.scheduling import self_test
from ha.world.sim.world import SimWorld

NODES = ["a", "b", "c"]


async def chatter(host, config: dict, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    """Talks to everybody else at random, and writes down what it hears."""
    file = host.disk.open("heard")
    listener = await host.net.listen(7)

    async def hear(stream) -> None:
        async for data in stream:
            file.append(data)
            await file.sync()

    async def talk(peer: str) -> None:
        while True:
            try:
                stream = await host.net.dial(Address(peer, 7))
                while True:
                    await stream.send_all(str(host.random.random()).encode())
                    await trio.sleep(host.random.expovariate(10))
            except (OSError, trio.BrokenResourceError):
                await trio.sleep(0.1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, hear, [listener])
        for peer in config["peers"]:
            nursery.start_soon(talk, peer)


PROGRAM = f"{__name__}:chatter"


async def talk_and_fail(world: SimWorld) -> None:
    for node in NODES:
        peers = [world.address(peer) for peer in NODES if peer != node]
        await world.boot(node, "chatter", PROGRAM, f'{{"peers": {peers}}}'.replace("'", '"').encode())
    await trio.sleep(3)
    await world.signal("a", "kill")
    await trio.sleep(1)
    await world.boot("a", "chatter", PROGRAM, f'{{"peers": ["{world.address("b")}"]}}'.encode())
    await world.signal("b", "pause")
    await trio.sleep(2)
    await world.signal("b", "resume")
    await trio.sleep(1)


def digest(seed: int) -> tuple[str, list[str]]:
    async def main() -> tuple[str, list[str]]:
        async with open_world(nodes=NODES, seed=seed) as world:
            await talk_and_fail(world)
            return world.trace.digest(), world.trace.marks

    return simulate(main, seed=seed)


def digest_elsewhere(seed: int, hash_seed: str, first: str = "") -> str:
    code = f"{first}\nimport {__name__} as t; print(t.digest({seed})[0])"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_trio_runs_the_same_schedule_for_the_same_seed() -> None:
    assert self_test(1) == self_test(1)
    assert self_test(1) != self_test(2)


def test_the_digest_is_a_function_of_the_seed_in_any_process() -> None:
    here = digest(7)[0]
    assert digest(7)[0] == here
    assert digest(8)[0] != here
    assert digest_elsewhere(7, "1") == here
    assert digest_elsewhere(7, "2", "import hypothesis, pytest_trio") == here


def test_shortcuts_through_trio_change_nothing_that_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    shortened = digest(7)
    monkeypatch.setattr(scheduling, "shortcuts", lambda _: contextlib.nullcontext())
    assert digest(7) == shortened


def test_marks_tell_the_second_in_which_two_runs_part() -> None:
    one, other = digest(1)[1], digest(2)[1]
    assert len(one) == len(other) == 7
    assert first_difference(one, one) is None
    assert first_difference(one, other) == 0
    assert first_difference(one, [*one[:3], *other[3:]]) == 3


def test_trio_is_as_it_was_afterwards() -> None:
    internals = trio._core._run

    def state() -> tuple[object, ...]:
        scopes = trio.CancelScope._might_change_registered_deadline
        clocks = trio.sleep, trio.current_time, internals.current_time
        order = internals._ALLOW_DETERMINISTIC_SCHEDULING, internals._r.getstate(), internals.Runner.reschedule
        waits = trio.lowlevel.wait_task_rescheduled, trio._core.wait_task_rescheduled
        return scopes, *clocks, *order, *waits

    before = state()
    digest(1)
    assert state() == before


def test_sleep_is_what_it_is_in_trio() -> None:
    async def main() -> list[float]:
        woken_s: list[float] = []

        async def sleeps(seconds: float) -> None:
            await trio.sleep(seconds)
            woken_s.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            for seconds in (2.0, 1.0, 0.0):
                nursery.start_soon(sleeps, seconds)
        with trio.move_on_after(1) as scope:
            await trio.sleep(5)
        assert scope.cancelled_caught
        assert trio.current_time() == 3
        await trio.sleep(4)  # past the time at which the one that was cancelled would have ended
        scope = trio.CancelScope()
        scope.cancel()
        with scope:
            await trio.sleep(min(0.0, 1.0))
        assert scope.cancelled_caught, "not to sleep is a checkpoint"
        for wrong in (-1, float("nan")):
            with pytest.raises(ValueError, match=r"(?i)seconds|nan"):
                await trio.sleep(wrong)
        return [*woken_s, trio.current_time()]

    original = trio.sleep
    assert simulate(main, seed=1) == trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0)) == [0, 1, 2, 7]
    assert trio.sleep is original


async def escaping(host, config: dict, *, task_status=trio.TASK_STATUS_IGNORED) -> None:
    try:
        # Looked up when called: a reference taken before the simulation began cannot be watched.
        eval(config["what"], {"time": time, "random": random, "os": os, "uuid": uuid, "threading": threading})
    except EscapeError:
        host.log("swallowed")


@pytest.mark.parametrize(
    "what",
    [
        "time.time()",
        "time.monotonic()",
        "time.sleep(0)",
        "random.random()",
        "random.Random()",
        "os.urandom(1)",
        "uuid.uuid4()",
        "threading.Thread(target=print).start()",
    ],
)
def test_an_escape_fails_the_simulation_even_when_the_component_swallows_it(what: str) -> None:
    async def main() -> None:
        async with open_world(nodes=["a"], seed=1) as world:
            await world.boot("a", "escaping", f"{__name__}:escaping", f'{{"what": "{what}"}}'.encode())
            await trio.sleep(1)
            assert [line[3] for line in world.logs] == ["swallowed"]

    with pytest.raises(EscapeError, match=what.partition("(")[0].rpartition(".")[2]):
        simulate(main, seed=1)
    assert time.time() > 0
    random.Random()


def test_whoever_is_no_component_may_look_at_the_clock() -> None:
    async def main() -> float:
        async with open_world(nodes=["a"], seed=1):
            return time.time()

    assert simulate(main, seed=1) > 0


async def never_waits() -> None:
    while True:
        await trio.lowlevel.checkpoint()


def test_a_task_that_never_waits_is_found_and_everything_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned_up = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(never_waits)
            try:
                await trio.sleep(10)
            finally:
                cleaned_up.append(True)

    monkeypatch.setattr(clock, "_STUCK_AFTER", 1000)
    with pytest.raises(StuckError, match=r"virtual time has stood still at 0.0 s, with .*never_waits"):
        simulate(main, seed=1)
    assert cleaned_up == [True]


def test_a_task_that_never_ends_either_is_found() -> None:
    code = """
from contextlib import suppress
import trio
from ha.world.sim import clock, simulate
clock._STUCK_AFTER = 1000
async def main():
    with trio.CancelScope(shield=True):
        while True:
            with suppress(KeyboardInterrupt):
                await trio.sleep(0)
simulate(main, seed=1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "virtual time has stood still at 0.0 s" in done.stderr

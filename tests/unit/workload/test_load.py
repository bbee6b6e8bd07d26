from __future__ import annotations

import json
from typing import get_args

import pytest
import trio

from ha.check.durability import lost_writes, unverified_keys
from ha.check.linearizability import check
from ha.http import Response
from ha.spec import Workload, WorkloadType
from ha.workload import NotSetUpError
from ha.workload.catalogue import registry
from tests.unit.workload.fake_api import status

REGISTER = Workload(type="register", clients=4, keys=3, rate_per_s=100)
CREATE = Workload(type="create", clients=2, rate_per_s=50)


async def run(load, for_s=2.0):
    await load.set_up()
    async with load.running():
        await trio.sleep(for_s)
    return await load.read_back()


def test_catalogue_has_what_files_may_name():
    assert sorted(get_args(WorkloadType)) == list(registry())
    assert all(kind.summary for kind in registry().values())


async def test_register_history_of_a_correct_store_is_linearizable(bench, autojump_clock):
    bench.api.delay_s = 0.02
    final = await run(bench.load(REGISTER))
    assert check(bench.history).verdict is True
    assert lost_writes(bench.history, final) == []
    assert unverified_keys(bench.history, final) == []
    assert {o.type for o in bench.history} == {"create", "read", "write", "cas"}
    assert {read.key for read in final} == {"register-0", "register-1", "register-2"}


async def test_register_mixes_operations_that_mostly_succeed(bench, autojump_clock):
    await run(bench.load(Workload(type="register", clients=4, keys=8, rate_per_s=200)), for_s=10)
    for type_, least in (("read", 500), ("write", 300), ("cas", 500)):
        assert len(bench.of(lambda o, t=type_: o.type == t)) > least
    assert len(bench.of(lambda o: o.outcome == "ok")) > 0.75 * len(bench.history)
    refused = bench.of(lambda o: o.outcome == "fail")
    assert refused
    assert all(o.type == "cas" and o.error.startswith("409 Conflict") and o.revision is None for o in refused)


async def test_no_two_writes_have_one_value(bench, autojump_clock):
    await run(bench.load(REGISTER, CREATE, CREATE))
    written = [o.value for o in bench.history if o.type != "read"]
    assert len(written) == len(set(written))


async def test_client_has_one_operation_outstanding_at_most(bench, autojump_clock):
    bench.api.delay_s = 0.1
    await run(bench.load(REGISTER, CREATE))
    last = {}
    for operation in sorted(bench.history, key=lambda o: o.invoked_s):
        client = operation.workload, operation.client
        assert last.get(client, 0) <= operation.invoked_s
        last[client] = operation.completed_s


async def test_every_client_keeps_one_connection(bench, autojump_clock):
    load = bench.load(REGISTER)
    await load.set_up()
    bench.net.dialled = 0
    async with load.running():
        await trio.sleep(1)
    assert bench.net.dialled == 4


async def test_open_loop_keeps_its_rate(bench, autojump_clock):
    load = bench.load(REGISTER)
    await load.set_up()
    bench.history.clear()
    async with load.running():
        await trio.sleep(10)
    assert len(bench.history) == pytest.approx(1000, abs=2)
    assert load.arrivals["register"].taken == len(bench.history)
    assert load.arrivals["register"].late == 0


async def test_open_loop_counts_arrivals_that_no_client_was_free_for(bench, autojump_clock):
    load = bench.load(REGISTER)
    await load.set_up()
    bench.api.delay_s = 0.08  # four clients: at most 50 a second
    async with load.running():
        await trio.sleep(10)
    arrivals = load.arrivals["register"]
    assert arrivals.taken == pytest.approx(500, abs=10)
    assert arrivals.late > 400
    assert arrivals.lateness_s_max == pytest.approx(5, abs=0.3)


async def test_closed_loop_asks_as_soon_as_it_was_answered(bench, autojump_clock):
    load = bench.load(Workload(type="register", clients=4, keys=3))
    await load.set_up()
    bench.history.clear()
    bench.api.delay_s = 0.1
    async with load.running():
        await trio.sleep(10)
    assert len(bench.history) == pytest.approx(4 * 100, rel=0.05)


async def test_end_of_the_load_waits_for_what_is_outstanding(bench, autojump_clock):
    load = bench.load(REGISTER)
    await load.set_up()
    bench.api.delay_s = 0.5
    bench.history.clear()
    async with load.running():
        await trio.sleep(0.2)
    assert len(bench.history) == 4
    assert all(o.completed_s is not None for o in bench.history)


async def test_write_that_timed_out_is_unknown_and_may_have_taken_effect(bench, autojump_clock):
    load = bench.load(REGISTER)
    await load.set_up()
    bench.history.clear()
    bench.api.delay_s = 1.5
    async with load.running():
        await trio.sleep(3)
    bench.api.delay_s = 0
    assert {o.outcome for o in bench.history} == {"info"}
    assert all(o.completed_s - o.invoked_s == pytest.approx(1, abs=0.01) for o in bench.history)
    assert all("RequestTimeout" in o.error for o in bench.history)


async def test_refused_connection_is_a_definite_failure(bench, autojump_clock):
    load = bench.load(REGISTER)
    await load.set_up()
    bench.history.clear()
    async with load.running():
        await bench.world.kill("api")
        await trio.sleep(2)
    failed = bench.of(lambda o: "ConnectError" in (o.error or ""))
    assert failed
    assert all(o.outcome == "fail" for o in failed)
    assert len(bench.history) < 4 * 2 / 0.05, "clients pause while nothing answers"


async def test_connection_that_broke_in_a_request_leaves_it_unknown(bench, autojump_clock):
    load = bench.load(REGISTER)
    await load.set_up()
    bench.history.clear()
    bench.api.delay_s = 0.3
    async with load.running():
        await trio.sleep(0.2)
        await bench.world.kill("api")
    lost = bench.of(lambda o: "ConnectionLost" in (o.error or ""))
    assert len(lost) == 4
    assert all(o.outcome == "info" for o in lost)


async def test_clients_come_back_when_the_server_does(bench, autojump_clock):
    load = bench.load(REGISTER)
    await load.set_up()
    async with load.running():
        await bench.world.kill("api")
        await trio.sleep(3)
        await bench.start()
        back_s = trio.current_time()
        await trio.sleep(1)
    first = min(o.completed_s for o in bench.of(lambda o: o.outcome == "ok" and o.invoked_s > back_s - 3))
    assert first - back_s < 0.15
    assert check(bench.history).verdict is True


async def test_cancelled_run_records_what_was_outstanding_as_unknown(bench, autojump_clock):
    load = bench.load(REGISTER)
    await load.set_up()
    bench.api.delay_s = 0.9
    bench.history.clear()
    with trio.move_on_after(0.5):
        async with load.running():
            await trio.sleep_forever()
    assert len(bench.history) == 4
    assert all(o.outcome == "info" and o.completed_s is None for o in bench.history)


async def test_counters_follow_the_outcomes(bench, autojump_clock):
    load = bench.load(REGISTER)
    await run(load)
    counters = load.counters()
    assert counters == {key: len(bench.of(lambda o, k=key: o.outcome == k)) for key in ("ok", "fail", "info")}


async def test_same_seed_asks_the_same(bench, autojump_clock):
    await run(bench.load(Workload(type="register", clients=1, keys=5, rate_per_s=50)))
    async with type(bench.world)(seed=1) as again:
        other = type(bench)(again)
        await other.start()
        await run(other.load(Workload(type="register", clients=1, keys=5, rate_per_s=50)))
    asked = [[(o.type, o.key, o.value) for o in history] for history in (bench.history, other.history)]
    assert asked[0] == asked[1]


async def test_set_up_waits_for_a_server_that_is_not_there_yet(bench, autojump_clock):
    await bench.world.kill("api")
    load = bench.load(REGISTER)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.set_up)
        await trio.sleep(4)
        await bench.start()
    assert {o.key for o in bench.of(lambda o: o.type == "create" and o.outcome == "ok")} == {
        "register-0",
        "register-1",
        "register-2",
    }


async def test_set_up_that_never_succeeds_says_why(bench, autojump_clock):
    bench.api.before = lambda _: status(500, "InternalError")
    with pytest.raises(NotSetUpError, match="workload register: namespace: 500 InternalError"):
        await bench.load(REGISTER).set_up()


async def test_creation_of_unknown_outcome_in_set_up_is_part_of_the_history(bench, autojump_clock):
    failed = []

    def lose_first(request):
        if request.method == "POST" and "configmaps" in request.path and not failed:
            failed.append(request)
            return status(504, "Timeout")
        return None

    bench.api.after = lose_first
    load = bench.load(Workload(type="register", clients=1, keys=1, rate_per_s=50))
    await run(load)
    assert [o.outcome for o in bench.history[:2]] == ["info", "fail"]
    assert bench.history[1].error.startswith("409 AlreadyExists")
    assert check(bench.history).verdict is True


async def test_creations_are_unique_and_all_read_back(bench, autojump_clock):
    final = await run(bench.load(CREATE))
    created = bench.of(lambda o: o.type == "create")
    assert len(created) == pytest.approx(100, abs=2)
    assert {o.key for o in created} == {read.key for read in final}
    assert lost_writes(bench.history, final) == []
    assert check(bench.history).verdict is True


async def test_creation_that_vanished_is_convicted(bench, autojump_clock):
    load = bench.load(CREATE)
    await load.set_up()
    async with load.running():
        await trio.sleep(1)
    victim = next(path for path in bench.api.objects if path.endswith("/create-1-3"))
    del bench.api.objects[victim]
    (lost,) = lost_writes(bench.history, await load.read_back())
    assert lost.write.key == "create-1-3"
    assert check(bench.history).verdict is False


async def test_creation_that_lost_its_content_is_convicted(bench, autojump_clock):
    load = bench.load(CREATE)
    await load.set_up()
    async with load.running():
        await trio.sleep(1)
    del next(o for path, o in bench.api.objects.items() if path.endswith("/create-1-3"))["data"]
    (lost,) = lost_writes(bench.history, await load.read_back())
    assert lost.write.key == "create-1-3"
    assert check(bench.history).verdict is False


async def test_creation_that_only_a_cached_list_still_shows_is_convicted(bench, autojump_clock):
    """API servers answer lists from a cache, which would vouch for a store that lost what it holds."""
    load = bench.load(CREATE)
    await load.set_up()
    async with load.running():
        await trio.sleep(1)
    cached = list(bench.api.objects.values())
    bench.api.cached = lambda: cached
    del bench.api.objects[next(path for path in bench.api.objects if path.endswith("/create-1-3"))]
    (lost,) = lost_writes(bench.history, await load.read_back())
    assert lost.write.key == "create-1-3"


async def test_reading_back_goes_on_until_it_is_answered(bench, autojump_clock):
    load = bench.load(REGISTER, CREATE)
    await load.set_up()
    async with load.running():
        await trio.sleep(1)
    await bench.world.kill("api")
    async with trio.open_nursery() as nursery:

        async def back() -> None:
            await trio.sleep(3)
            await bench.start()

        nursery.start_soon(back)
        final = await load.read_back()
    assert unverified_keys(bench.history, final) == []


async def test_reading_back_gives_up_and_leaves_keys_unverified(bench, autojump_clock):
    load = bench.load(REGISTER, CREATE)
    await load.set_up()
    async with load.running():
        await trio.sleep(1)
    bench.api.before = lambda _: status(503, "ServiceUnavailable")
    final = await load.read_back()
    assert final == []
    assert len(unverified_keys(bench.history, final)) > 3


async def test_stale_server_is_convicted(bench, autojump_clock):
    """The checker and the clients together: a server that answers reads from the past does not get away."""
    stale = {}

    def answer_from_the_past(request):
        if request.method != "GET" or "?" in request.target or request.path not in bench.api.objects:
            return None
        return Response(200, stale.setdefault(request.path, json.dumps(bench.api.objects[request.path]).encode()))

    bench.api.before = answer_from_the_past
    await run(bench.load(REGISTER))
    verdict = check(bench.history)
    assert verdict.verdict is False
    assert "stale read" in verdict.explanation[0]


async def test_deployment_is_set_up_when_its_replicas_are_ready(bench, autojump_clock):
    load = bench.load(Workload(type="deployment", replicas=2))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.set_up)
        await trio.sleep(1)
        path = "/apis/apps/v1/namespaces/ha-workload/deployments/web"
        deployment = bench.api.objects[path]
        assert deployment["spec"]["replicas"] == 2
        deployment["metadata"]["generation"] = 1
        bench.api.put(path, {**deployment, "status": {"readyReplicas": 1, "observedGeneration": 1}})
        await trio.sleep(1)
        assert len(nursery.child_tasks) == 1
        bench.api.put(path, {**deployment, "status": {"readyReplicas": 2, "observedGeneration": 1}})
        ready_s = trio.current_time()
    assert trio.current_time() - ready_s < 0.5
    async with load.running():
        await trio.sleep(1)
    assert await load.read_back() == []
    assert bench.history == []


async def test_deployment_with_a_rate_is_scaled_that_often_whatever_is_answered(bench, autojump_clock):
    path = "/apis/apps/v1/namespaces/ha-workload/deployments/web"
    load = bench.load(Workload(type="deployment", replicas=3, rate_per_s=10))
    bench.api.put(path, {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": 3}})
    bench.api.before = lambda _: status(503, "ServiceUnavailable") if len(bench.api.requests) % 2 else None
    async with load.running():
        await trio.sleep(3)
    asked = [request for request in bench.api.requests if request.method == "PATCH"]
    assert len(asked) == pytest.approx(30, abs=2)
    assert {request.path for request in asked} == {path}
    assert {json.loads(request.body)["spec"]["replicas"] for request in asked} == {1, 2, 3}
    assert bench.history == []


async def test_deployment_that_never_runs_says_how_far_it_came(bench, autojump_clock):
    with pytest.raises(NotSetUpError, match="workload deployment: 0 of 4 replicas ready"):
        await bench.load(Workload(type="deployment")).set_up()

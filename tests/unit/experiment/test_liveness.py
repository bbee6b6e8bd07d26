"""The core of an experiment: healed alone, it must serve; and what does not serve is convicted."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import pytest

from ha.balancer.backends import Backend, Pool
from ha.experiment.liveness import _unserved
from ha.experiment.simulation import run_scenario
from ha.history import Operation
from ha.history.result import Result
from ha.history.store import LeaseKeepAlive, Put, StoreCall
from ha.spec import Experiment, Fault, Liveness, Scenario, Target, Topology, Workload
from ha.spec.load import load, resolve

CORE = ["control-plane-1", "control-plane-2", "load-balancer"]


def scenario(*faults: Fault, core: list[str] = CORE, topology: str = "stacked-3") -> Scenario:
    shape = load(resolve(topology))
    assert isinstance(shape, Topology)
    kind = "store" if shape.store_alone else "register"
    experiment = Experiment(
        name="core",
        claim="The core serves.",
        topologies=[shape.name],
        duration_s=2.0,
        workloads=[Workload(type=kind, clients=3, rate_per_s=20.0, keys=2)],
        faults=list(faults),
        liveness=Liveness(core=core, within_s=20.0),
    )
    return Scenario(name="core", topology=shape, experiment=experiment, world="sim")


def fault(name: str, select: str) -> Fault:
    return msgspec.convert({"fault": name, "target": Target(select=select), "at": 0.5}, Fault)


def result(case: Scenario) -> Result:
    return run_scenario(case, seed=1)[0].result


@pytest.mark.parametrize("name", ["kill", "pause", "partition"])
def test_a_core_serves_while_the_rest_is_broken(name: str) -> None:
    told = result(scenario(fault(name, "control-plane-3"), fault("kill", "worker-1")))
    assert told.verdict == "pass", told.reason
    [claim] = [claim for claim in told.claims if claim.checker == "liveness"]
    assert (claim.held, claim.measured) == (True, "it does")
    by_fault = {record.fault: record for record in told.faults}
    assert by_fault[name].undone_s is not None
    assert by_fault[name].undone_s > by_fault[name].injected_s + 2.0, "undone after the core had come to serve"


def test_a_store_alone_has_a_core_of_members() -> None:
    told = result(scenario(fault("pause", "etcd-1"), core=["etcd-2", "etcd-3"], topology="etcd-3"))
    assert told.verdict == "pass", told.reason


def test_a_balancer_that_keeps_a_dead_backend_is_convicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though clients keep the connections that work."""
    choose = Pool.choose

    def blind(self: Pool, tried: Collection[Backend] = ()) -> Backend | None:
        for backend in self.backends:
            backend.state = "up"
        return choose(self, tried)

    monkeypatch.setattr(Pool, "choose", blind)
    monkeypatch.setattr(Pool, "unfit", lambda _: [])
    told = result(scenario(fault("pause", "control-plane-3")))
    assert "liveness" in told.convicted_by, told.reason


def asked(outcome: str, error: str | None = None, store: StoreCall | None = None) -> Operation:
    return msgspec.convert(
        {
            "workload": "w", "client": 0, "type": "write", "key": "k", "invoked_s": 1.0,
            "outcome": outcome, "error": error, "store": store,
        },
        Operation,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "is_served"),
    [
        (asked("ok"), True),
        (asked("info", "RequestTimeout"), False),
        (asked("fail", "409 Conflict: the object has been modified"), True),
        (asked("fail", "429 TooManyRequests"), False),
        (asked("fail", "ConnectError: refused"), False),
        (
            asked("fail", "etcdserver: compacted", StoreCall(member="a", request=Put("k", "v"), refusal="compacted")),
            True,
        ),
        (asked("fail", "etcdserver: no leader", StoreCall(member="a", request=Put("k", "v"), refusal="other")), False),
        (asked("info", "timeout", StoreCall(member="outside", request=Put("k", "v"))), True),
        (asked("fail", "no leader", StoreCall(member="a", request=LeaseKeepAlive(1), refusal="other")), True),
    ],
)
def test_what_counts_as_served(operation: Operation, is_served: bool) -> None:  # noqa: FBT001
    assert (not list(_unserved([operation], {"a"}))) == is_served

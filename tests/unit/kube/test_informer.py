"""The local copy of a collection."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from ha.http import Request
from ha.kube import errors
from ha.kube.client import KubeClient
from ha.kube.informer import Informer
from ha.kube.kinds import NODE, Object
from tests.fakes.world import FakeWorld
from tests.unit.kube.fake_api import FakeApi

Change = tuple[str | None, str | None]


class Recorder:
    def __init__(self) -> None:
        self.changes: list[Change] = []

    def __call__(self, old: Object | None, new: Object | None) -> None:
        self.changes.append((_label(old), _label(new)))


def _label(obj: Object | None) -> str | None:
    return None if obj is None else f"{obj['metadata']['name']}={(obj['metadata'].get('labels') or {}).get('v', '')}"


def node(name: str, v: str = "") -> Object:
    return {"metadata": {"name": name, "labels": {"v": v}}}


async def test_copy_follows_the_collection(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi, world: FakeWorld, nursery: trio.Nursery
) -> None:
    api.put(NODE, node("a", "1"))
    seen = Recorder()
    informer = Informer(client, NODE, host=world.host("c"), on_change=seen)
    await nursery.start(informer.run)
    api.put(NODE, node("a", "2"))
    api.put(NODE, node("b", "1"))
    api.remove(NODE, "a")
    await trio.sleep(1)
    assert [o["metadata"]["name"] for o in informer.list()] == ["b"]
    assert informer.get(None, "a") is None
    assert seen.changes == [(None, "a=1"), ("a=1", "a=2"), (None, "b=1"), ("a=2", None)]


async def test_ended_watch_resumes_without_listing_again(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi, world: FakeWorld, nursery: trio.Nursery
) -> None:
    informer = Informer(client, NODE, host=world.host("c"), watch_s=5)
    await nursery.start(informer.run)
    for i in range(20):
        await trio.sleep(5)
        api.put(NODE, node(f"n{i}"))
    await trio.sleep(1)
    assert len(informer.list()) == 20
    assert 10 <= len(api.requests) <= 25, "one list, then one watch per 5 to 10 s"


async def test_expired_version_leads_to_a_list_that_reports_the_differences(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi, world: FakeWorld, nursery: trio.Nursery
) -> None:
    for name in ("same", "changed", "removed"):
        api.put(NODE, node(name, "1"))
    seen = Recorder()
    informer = Informer(client, NODE, host=world.host("c"), on_change=seen, watch_s=5)
    await nursery.start(informer.run)
    seen.changes.clear()
    world.partition(["api"], ["c"])
    await trio.sleep(1)
    api.put(NODE, node("changed", "2"))
    api.remove(NODE, "removed")
    api.put(NODE, node("added", "1"))
    api.compact()
    await world.kill("api")
    world.heal()
    await world.start("api", api.serve)
    await trio.sleep(20)
    assert sorted(seen.changes, key=str) == sorted(
        [("removed=1", None), ("changed=1", "changed=2"), (None, "added=1")], key=str
    )


async def test_object_replaced_under_its_name_is_reported_as_gone_and_new(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi, world: FakeWorld, nursery: trio.Nursery
) -> None:
    api.put(NODE, node("a", "old"))
    seen = Recorder()
    informer = Informer(client, NODE, host=world.host("c"), on_change=seen)
    await nursery.start(informer.run)
    await world.kill("api")
    api.remove(NODE, "a")
    api.put(NODE, node("a", "new"))
    api.compact()
    await world.start("api", api.serve)
    await trio.sleep(20)
    assert seen.changes == [(None, "a=old"), ("a=old", None), (None, "a=new")]


async def test_server_away_for_long_is_asked_seldom_and_noticed_when_back(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi, world: FakeWorld, nursery: trio.Nursery
) -> None:
    informer = Informer(client, NODE, host=world.host("c"))
    await nursery.start(informer.run)
    await world.kill("api")
    attempts = len([log for log in world.logs if log[3] == "list or watch failed"])
    await trio.sleep(600)
    attempts = len([log for log in world.logs if log[3] == "list or watch failed"]) - attempts
    assert 300 <= attempts <= 700, "every 1 to 2 s"
    api.put(NODE, node("a"))
    await world.start("api", api.serve)
    await trio.sleep(2.5)
    assert len(informer.list()) == 1


async def test_refusals_are_followed_by_a_back_off(
    autojump_clock: MockClock, client: KubeClient, api: FakeApi, world: FakeWorld, nursery: trio.Nursery
) -> None:
    async def refuse(_: Request) -> None:
        raise errors.service_unavailable("no leader")

    api.fault = refuse
    informer = Informer(client, NODE, host=world.host("c"))
    nursery.start_soon(informer.run)
    await trio.sleep(60)
    assert not informer.synced.is_set()
    assert len(api.requests) < 80
    api.fault = None
    await trio.sleep(2.5)
    assert informer.synced.is_set()

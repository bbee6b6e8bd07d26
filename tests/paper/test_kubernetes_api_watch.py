"""Kubernetes API Concepts, "Efficient detection of changes" and "Watch bookmarks"."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import trio
from trio.testing import MockClock

from ha.etcd.machine import EtcdMachine
from tests.unit.apiserver.api import CONFIGMAPS, PODS, Api, configmap, pod, serving

Event = dict[str, Any]


async def version_of(api: Api, path: str = CONFIGMAPS) -> str:
    listed = await api.get(path)
    return str(listed["metadata"]["resourceVersion"])


def brief(event: Event) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"]["name"]


async def take(events: AsyncIterator[Event], count: int) -> list[tuple[str, str]]:
    with trio.fail_after(10):
        return [brief(await anext(events)) for _ in range(count)]


async def rest(events: AsyncIterator[Event]) -> list[Event]:
    return [event async for event in events]


async def test_a_watch_sends_every_change_after_its_resource_version_in_order(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("before"))
        version = await version_of(api)
        made = await api.post(CONFIGMAPS, configmap("a", x="1"))
        async with api.watch(f"{CONFIGMAPS}?watch=1&resourceVersion={version}") as events:
            assert await take(events, 1) == [("ADDED", "a")]
            changed = await api.put(f"{CONFIGMAPS}/a", configmap("a", x="2"))
            await api.delete(f"{CONFIGMAPS}/a")
            modified, deleted = await anext(events), await anext(events)
        assert (modified["type"], modified["object"]) == ("MODIFIED", changed)
        assert deleted["type"] == "DELETED"
        assert deleted["object"]["data"] == {"x": "2"}
        versions = [int(o["metadata"]["resourceVersion"]) for o in (made, changed, deleted["object"])]
        assert versions == sorted(set(versions))


@pytest.mark.parametrize("query", ["watch=1", "watch=true&resourceVersion=0"])
async def test_a_watch_from_no_version_begins_with_the_state(query: str, autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("a"))
        await api.post(CONFIGMAPS, configmap("b"))
        async with api.watch(f"{CONFIGMAPS}?{query}") as events:
            assert await take(events, 2) == [("ADDED", "a"), ("ADDED", "b")]
            await api.delete(f"{CONFIGMAPS}/a")
            assert await take(events, 1) == [("DELETED", "a")]


async def test_a_watch_too_far_back_is_told_410_in_the_stream(autojump_clock: MockClock) -> None:
    machine = EtcdMachine()
    async with serving(machine=machine) as api:
        await api.post(CONFIGMAPS, configmap("a"))
    async with serving(machine=machine) as api, api.watch(f"{CONFIGMAPS}?watch=1&resourceVersion=1") as events:
        [event] = await rest(events)
        oldest = event["object"]["message"].rpartition("(")[2].rstrip(")")
        assert event == {
            "type": "ERROR",
            "object": {
                "kind": "Status",
                "apiVersion": "v1",
                "metadata": {},
                "status": "Failure",
                "message": f"too old resource version: 1 ({oldest})",
                "reason": "Expired",
                "code": 410,
            },
        }


async def test_a_watch_from_before_the_window_is_told_410_and_never_left_with_a_gap(autojump_clock: MockClock) -> None:
    async with serving(watch_log_size=4) as api:
        version = await version_of(api)
        for i in range(20):
            await api.post(CONFIGMAPS, configmap(f"c-{i}"))
        async with api.watch(f"{CONFIGMAPS}?watch=1&resourceVersion={version}&timeoutSeconds=1") as events:
            [event] = await rest(events)
            assert event["object"]["code"] == 410


async def test_a_watch_ends_after_its_timeout_with_a_bookmark(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("a"))
        version = await version_of(api)
        began = trio.current_time()
        query = f"watch=1&resourceVersion={version}&timeoutSeconds=7&allowWatchBookmarks=true"
        async with api.watch(f"{CONFIGMAPS}?{query}") as events:
            assert await rest(events) == [
                {
                    "type": "BOOKMARK",
                    "object": {
                        "kind": "ConfigMap",
                        "apiVersion": "v1",
                        "metadata": {"resourceVersion": version, "creationTimestamp": None},
                    },
                }
            ]
        assert 7 <= trio.current_time() - began < 8


async def test_bookmarks_follow_changes_of_other_kinds(autojump_clock: MockClock) -> None:
    async with serving(watch_bookmark_period_s=5) as api:
        version = await version_of(api)
        query = f"watch=1&resourceVersion={version}&allowWatchBookmarks=1&timeoutSeconds=6"
        async with api.watch(f"{CONFIGMAPS}?{query}") as events:
            made = await api.post(PODS, pod("p"))
            bookmark = await anext(events)
            assert bookmark["type"] == "BOOKMARK"
            assert bookmark["object"]["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]


async def test_no_bookmark_without_asking(autojump_clock: MockClock) -> None:
    async with serving(watch_bookmark_period_s=1) as api:
        version = await version_of(api)
        async with api.watch(f"{CONFIGMAPS}?watch=1&resourceVersion={version}&timeoutSeconds=5") as events:
            assert await rest(events) == []


async def test_initial_events_end_with_an_annotated_bookmark(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("a"))
        query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"
        async with api.watch(f"{CONFIGMAPS}?{query}") as events:
            assert await take(events, 1) == [("ADDED", "a")]
            bookmark = (await anext(events))["object"]["metadata"]
            assert bookmark["annotations"] == {"k8s.io/initial-events-end": "true"}
            assert bookmark["resourceVersion"] == await version_of(api)


async def test_sending_initial_events_needs_not_older_than(autojump_clock: MockClock) -> None:
    async with serving() as api:
        body = await api.get(f"{CONFIGMAPS}?watch=1&sendInitialEvents=true", expect=422)
        assert "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan" in body["message"]


async def test_a_selector_turns_coming_and_going_into_added_and_deleted(autojump_clock: MockClock) -> None:
    async with serving() as api:
        version = await version_of(api)
        query = f"watch=1&resourceVersion={version}&labelSelector=on%3Dyes"
        async with api.watch(f"{CONFIGMAPS}?{query}") as events:
            await api.post(CONFIGMAPS, configmap("a", x="1"))
            await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"on": "yes"}}, "data": {"x": "2"}})
            await api.patch(f"{CONFIGMAPS}/a", {"data": {"x": "3"}})
            gone = await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"labels": {"on": "no"}}, "data": {"x": "4"}})
            seen = [await anext(events) for _ in range(3)]
        assert [(e["type"], e["object"]["data"]["x"]) for e in seen] == [
            ("ADDED", "2"),
            ("MODIFIED", "3"),
            ("DELETED", "3"),
        ]
        assert seen[-1]["object"]["metadata"]["resourceVersion"] == gone["metadata"]["resourceVersion"]


async def test_a_watch_of_one_namespace_or_one_node_sees_nothing_else(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post("/api/v1/namespaces", {"metadata": {"name": "other"}})
        version = await version_of(api, PODS)
        query = f"watch=1&resourceVersion={version}&fieldSelector=spec.nodeName%3Dn-1"
        async with api.watch(f"{PODS}?{query}") as events:
            await api.post("/api/v1/namespaces/other/pods", pod("elsewhere", nodeName="n-1"))
            await api.post(PODS, pod("unbound"))
            await api.post(PODS, pod("on-1", nodeName="n-1"))
            assert await take(events, 1) == [("ADDED", "on-1")]


async def test_a_lost_store_watch_is_resumed_without_a_gap(autojump_clock: MockClock) -> None:
    async with serving() as api:
        version = await version_of(api)
        async with api.watch(f"{CONFIGMAPS}?watch=1&resourceVersion={version}") as events:
            await api.post(CONFIGMAPS, configmap("a"))
            api.etcd.drop_watches()
            await api.post(CONFIGMAPS, configmap("b"))
            await api.delete(f"{CONFIGMAPS}/a")
            assert await take(events, 3) == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_when_the_store_forgot_what_was_missed_watches_end_with_410(autojump_clock: MockClock) -> None:
    async with serving() as api:
        version = await version_of(api)
        async with api.watch(f"{CONFIGMAPS}?watch=1&resourceVersion={version}") as events:
            await api.post(CONFIGMAPS, configmap("a"))
            assert await take(events, 1) == [("ADDED", "a")]
            api.etcd.watches_stalled = True
            api.etcd.drop_watches()
            for name in "bcd":
                await api.post(CONFIGMAPS, configmap(name))
            await api.etcd.compact(int(await version_of(api)))
            api.etcd.watches_stalled = False
            api.etcd.drop_watches()
            error = await anext(events)
            assert error["object"]["code"] == 410
        assert len((await api.get(f"{CONFIGMAPS}?resourceVersion=0"))["items"]) == 4


async def test_a_watch_from_a_version_that_this_server_has_not_seen_waits_for_what_comes_after(
    autojump_clock: MockClock,
) -> None:
    async with serving() as api:
        version = int(await version_of(api))
        async with api.watch(f"{CONFIGMAPS}?watch=1&resourceVersion={version + 1}") as events:
            await api.post(CONFIGMAPS, configmap("at-that-version"))
            await api.post(CONFIGMAPS, configmap("after"))
            assert await take(events, 1) == [("ADDED", "after")]


async def test_frames_are_one_json_object_per_line(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("a", text="two\nlines"))
        async with api.client.stream("GET", f"{CONFIGMAPS}?watch=1&timeoutSeconds=1", connect_timeout_s=5) as response:
            assert response.headers["content-type"] == "application/json"
            lines = (await response.read()).splitlines()
        assert [orjson.loads(line)["type"] for line in lines] == ["ADDED"]

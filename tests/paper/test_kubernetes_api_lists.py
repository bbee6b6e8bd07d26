"""Kubernetes API Concepts, "Resource versions" and "Retrieving large results sets in chunks"."""

import base64

import orjson
import pytest
from trio.testing import MockClock

from tests.unit.apiserver.api import CONFIGMAPS, PODS, Api, configmap, pod, serving


async def make(api: Api, count: int) -> list[str]:
    """Create ConfigMaps c-0, c-1, …; their resource versions."""
    made = [await api.post(CONFIGMAPS, configmap(f"c-{i}")) for i in range(count)]
    return [obj["metadata"]["resourceVersion"] for obj in made]


def names(listed: dict) -> list[str]:  # type: ignore[type-arg]
    return [item["metadata"]["name"] for item in listed["items"]]


async def test_items_of_a_list_carry_no_kind_of_their_own(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await make(api, 1)
        listed = await api.get(CONFIGMAPS)
        assert (listed["kind"], listed["apiVersion"]) == ("ConfigMapList", "v1")
        assert "kind" not in listed["items"][0]
        assert "apiVersion" not in listed["items"][0]


async def test_resource_version_unset_is_the_most_recent_state_even_if_the_cache_lags(
    autojump_clock: MockClock,
) -> None:
    async with serving() as api:
        await make(api, 1)
        api.etcd.watches_stalled = True
        await api.post(CONFIGMAPS, configmap("late"))
        assert names(await api.get(CONFIGMAPS)) == ["c-0", "late"]
        assert names(await api.get(f"{CONFIGMAPS}?resourceVersion=0")) == ["c-0"]
        assert (await api.get(f"{CONFIGMAPS}/late"))["metadata"]["name"] == "late"


async def test_resource_version_zero_asks_nobody(autojump_clock: MockClock) -> None:
    async with serving(store_probe_period_s=3600) as api:
        await make(api, 1)
        before = api.etcd.requests
        assert names(await api.get(f"{CONFIGMAPS}?resourceVersion=0")) == ["c-0"]
        assert (await api.get(f"{CONFIGMAPS}/c-0?resourceVersion=0"))["metadata"]["name"] == "c-0"
        assert api.etcd.requests == before


async def test_resource_version_zero_ignores_the_limit(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await make(api, 3)
        listed = await api.get(f"{CONFIGMAPS}?resourceVersion=0&limit=1")
        assert len(listed["items"]) == 3
        assert list(listed["metadata"]) == ["resourceVersion"]


async def test_a_resource_version_is_a_lower_bound(autojump_clock: MockClock) -> None:
    async with serving() as api:
        first, *_, last = await make(api, 3)
        listed = await api.get(f"{CONFIGMAPS}?resourceVersion={first}")
        assert int(listed["metadata"]["resourceVersion"]) >= int(last)
        assert len(listed["items"]) == 3


@pytest.mark.parametrize("query", ["resourceVersionMatch=Exact&resourceVersion={}", "limit=500&resourceVersion={}"])
async def test_an_exact_resource_version_is_the_state_of_then(query: str, autojump_clock: MockClock) -> None:
    async with serving() as api:
        versions = await make(api, 3)
        listed = await api.get(f"{CONFIGMAPS}?{query.format(versions[1])}")
        assert listed["metadata"]["resourceVersion"] == versions[1]
        assert names(listed) == ["c-0", "c-1"]


async def test_an_exact_resource_version_that_was_compacted_is_410(autojump_clock: MockClock) -> None:
    async with serving() as api:
        versions = await make(api, 3)
        await api.etcd.compact(int(versions[2]))
        body = await api.get(f"{CONFIGMAPS}?resourceVersionMatch=Exact&resourceVersion={versions[0]}", expect=410)
        assert (body["reason"], body["message"]) == (
            "Expired",
            "The resourceVersion for the provided list is too old.",
        )


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("resourceVersionMatch=Exact", "resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        ("watch=1&resourceVersionMatch=Exact&resourceVersion=1", "resourceVersionMatch is forbidden for watch"),
    ],
)
async def test_combinations_that_mean_nothing_are_422(query: str, fault: str, autojump_clock: MockClock) -> None:
    async with serving() as api:
        body = await api.get(f"{CONFIGMAPS}?{query}", expect=422)
        assert body["message"] == f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: {fault}'


async def test_a_resource_version_that_is_no_number_is_400(autojump_clock: MockClock) -> None:
    async with serving() as api:
        body = await api.get(f"{CONFIGMAPS}?resourceVersion=abc", expect=400)
        assert 'Invalid value: "abc"' in body["message"]


async def test_pages_of_a_list_show_one_state_whatever_happens_between_them(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await make(api, 5)
        page = await api.get(f"{CONFIGMAPS}?limit=2")
        assert names(page) == ["c-0", "c-1"]
        assert page["metadata"]["remainingItemCount"] == 3
        await api.delete(f"{CONFIGMAPS}/c-3")
        await api.post(CONFIGMAPS, configmap("c-2b"))
        seen = names(page)
        while token := page["metadata"].get("continue"):
            page = await api.get(f"{CONFIGMAPS}?limit=2&continue={token}")
            seen += names(page)
        assert seen == ["c-0", "c-1", "c-2", "c-3", "c-4"]


async def test_a_continue_token_has_the_format_of_upstream(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await make(api, 2)
        meta = (await api.get(f"{CONFIGMAPS}?limit=1"))["metadata"]
        token = orjson.loads(base64.urlsafe_b64decode(meta["continue"] + "=="))
        assert token == {"v": "meta.k8s.io/v1", "rv": int(meta["resourceVersion"]), "start": "c-0\0"}


async def test_an_expired_continue_token_is_410_and_offers_an_inconsistent_one(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await make(api, 3)
        token = (await api.get(f"{CONFIGMAPS}?limit=1"))["metadata"]["continue"]
        late = await api.post(CONFIGMAPS, configmap("c-9"))
        await api.etcd.compact(int(late["metadata"]["resourceVersion"]))
        body = await api.get(f"{CONFIGMAPS}?limit=1&continue={token}", expect=410)
        assert (body["reason"], body["code"]) == ("Expired", 410)
        assert body["message"].startswith("The provided continue parameter is too old to display a consistent list")
        again = body["metadata"]["continue"]
        assert names(await api.get(f"{CONFIGMAPS}?limit=10&continue={again}")) == ["c-1", "c-2", "c-9"]


async def test_continue_and_resource_version_exclude_each_other(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await make(api, 2)
        token = (await api.get(f"{CONFIGMAPS}?limit=1"))["metadata"]["continue"]
        body = await api.get(f"{CONFIGMAPS}?continue={token}&resourceVersion=3", expect=400)
        assert body["message"] == "specifying resource version is not allowed when using continue"


async def test_selectors_apply_before_the_limit(autojump_clock: MockClock) -> None:
    async with serving() as api:
        for i in range(6):
            await api.post(PODS, pod(f"p-{i}", nodeName=f"n-{i % 2}"))
        page = await api.get(f"{PODS}?fieldSelector=spec.nodeName%3Dn-1&limit=2")
        assert names(page) == ["p-1", "p-3"]
        assert "remainingItemCount" not in page["metadata"]
        token = page["metadata"]["continue"]
        page = await api.get(f"{PODS}?fieldSelector=spec.nodeName%3Dn-1&limit=2&continue={token}")
        assert names(page) == ["p-5"]
        assert "continue" not in page["metadata"]


async def test_selectors_choose(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(PODS, pod("a"))
        other = pod("b")
        other["metadata"]["labels"] = {"app": "db"}
        await api.post(PODS, other)
        assert names(await api.get(f"{PODS}?labelSelector=app%3Dweb")) == ["a"]
        assert names(await api.get(f"{PODS}?labelSelector=app%20notin%20(web)")) == ["b"]
        assert names(await api.get(f"{PODS}?fieldSelector=metadata.name%3Db")) == ["b"]
        assert names(
            await api.get("/api/v1/pods?fieldSelector=metadata.namespace%3Ddefault,status.phase%3DPending")
        ) == [
            "a",
            "b",
        ]
        assert (await api.get(f"{PODS}?labelSelector=app%20in", expect=400))["reason"] == "BadRequest"


async def test_a_list_over_all_namespaces_is_in_order_of_namespace_and_name(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post("/api/v1/namespaces", {"metadata": {"name": "a-b"}})
        await api.post("/api/v1/namespaces", {"metadata": {"name": "a"}})
        for namespace in ("a", "a-b", "default"):
            await api.post(f"/api/v1/namespaces/{namespace}/configmaps", configmap("x"))
        recent = await api.get("/api/v1/configmaps")
        exact = await api.get(
            f"/api/v1/configmaps?resourceVersionMatch=Exact&resourceVersion={recent['metadata']['resourceVersion']}"
        )
        assert [i["metadata"]["namespace"] for i in recent["items"]] == ["a-b", "a", "default"]
        assert exact == recent

"""Kubernetes API conventions: metadata, concurrency control, patches, subresources; and deletion."""

import re
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.unit.apiserver.api import CONFIGMAPS, DEPLOYMENTS, JSON_PATCH, PODS, Api, configmap, deployment, pod, serving

NODES = "/api/v1/nodes"
NAMESPACES = "/api/v1/namespaces"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


async def test_a_new_object_is_given_uid_creation_time_and_resource_version(autojump_clock: MockClock) -> None:
    async with serving() as api:
        body = configmap("a", x="1")
        body["metadata"] |= {"uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z", "deletionTimestamp": "2000"}
        made = await api.post(CONFIGMAPS, body)
        meta = made["metadata"]
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", meta["uid"])
        assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", meta["creationTimestamp"])
        assert meta["creationTimestamp"] > "2020"
        assert "deletionTimestamp" not in meta
        assert int(meta["resourceVersion"]) > 0
        assert await api.get(f"{CONFIGMAPS}/a") == made


async def test_a_resource_version_may_not_be_chosen(autojump_clock: MockClock) -> None:
    async with serving() as api:
        body = configmap("a")
        body["metadata"]["resourceVersion"] = "5"
        refused = await api.post(CONFIGMAPS, body, expect=400)
        assert refused["message"] == "resourceVersion should not be set on objects to be created"


async def test_a_generated_name_is_the_prefix_and_five_random_characters(autojump_clock: MockClock) -> None:
    async with serving() as api:
        body = {"metadata": {"generateName": "web-"}}
        names = {(await api.post(CONFIGMAPS, body))["metadata"]["name"] for _ in range(20)}
        assert len(names) == 20
        assert all(re.fullmatch(r"web-[bcdfghjklmnpqrstvwxz2456789]{5}", name) for name in names)


async def test_an_object_without_a_name_is_refused(autojump_clock: MockClock) -> None:
    async with serving() as api:
        body = await api.post(CONFIGMAPS, {}, expect=422)
        assert body["message"] == (
            'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'
        )


async def test_an_update_with_the_current_resource_version_wins_once(autojump_clock: MockClock) -> None:
    async with serving() as api:
        made = await api.post(CONFIGMAPS, configmap("a", x="0"))
        results = []

        async def write(value: str) -> None:
            response = await api.request("PUT", f"{CONFIGMAPS}/a", {**made, "data": {"x": value}})
            results.append(response.status)

        async with trio.open_nursery() as nursery:
            for i in range(1, 6):
                nursery.start_soon(write, str(i))
        assert sorted(results) == [200, 409, 409, 409, 409]


async def test_unconditional_updates_all_succeed(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("a"))
        versions = []

        async def write(value: str) -> None:
            changed = await api.put(f"{CONFIGMAPS}/a", configmap("a", x=value))
            versions.append(changed["metadata"]["resourceVersion"])

        async with trio.open_nursery() as nursery:
            for i in range(5):
                nursery.start_soon(write, str(i))
        assert len(set(versions)) == 5


async def test_patches_of_different_fields_do_not_lose_each_other(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("a"))
        async with trio.open_nursery() as nursery:
            for key in "abcde":
                nursery.start_soon(api.patch, f"{CONFIGMAPS}/a", {"data": {key: "1"}})
        assert (await api.get(f"{CONFIGMAPS}/a"))["data"] == dict.fromkeys("abcde", "1")


async def test_an_update_that_changes_nothing_makes_no_new_version(autojump_clock: MockClock) -> None:
    async with serving() as api:
        made = await api.post(CONFIGMAPS, configmap("a", x="1", y="2"))
        assert await api.put(f"{CONFIGMAPS}/a", configmap("a", y="2", x="1")) == made


async def test_an_update_keeps_what_only_the_server_sets(autojump_clock: MockClock) -> None:
    async with serving() as api:
        made = await api.post(CONFIGMAPS, configmap("a"))
        changed = await api.put(f"{CONFIGMAPS}/a", configmap("a", x="1"))
        for field in ("uid", "creationTimestamp"):
            assert changed["metadata"][field] == made["metadata"][field]


async def test_an_update_meant_for_another_incarnation_is_refused(autojump_clock: MockClock) -> None:
    async with serving() as api:
        first = await api.post(CONFIGMAPS, configmap("a"))
        await api.delete(f"{CONFIGMAPS}/a")
        second = await api.post(CONFIGMAPS, configmap("a"))
        body = configmap("a", x="1")
        body["metadata"]["uid"] = first["metadata"]["uid"]
        refused = await api.put(f"{CONFIGMAPS}/a", body, expect=409)
        assert refused["message"].endswith(
            f"Precondition failed: UID in precondition: {first['metadata']['uid']}, "
            f"UID in object meta: {second['metadata']['uid']}"
        )


async def test_a_lease_is_never_updated_unconditionally(autojump_clock: MockClock) -> None:
    async with serving() as api:
        lease = {"metadata": {"name": "l"}, "spec": {"holderIdentity": "a"}}
        made = await api.post(LEASES, lease)
        refused = await api.put(f"{LEASES}/l", lease, expect=422)
        assert refused["message"] == (
            'Lease.coordination.k8s.io "l" is invalid: metadata.resourceVersion: Invalid value: 0x0: '
            "must be specified for an update"
        )
        made["spec"]["holderIdentity"] = "b"
        assert (await api.put(f"{LEASES}/l", made))["spec"]["holderIdentity"] == "b"


async def test_merge_and_json_patches(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("fx1", a="1"))
        merged = await api.patch(f"{CONFIGMAPS}/fx1", {"data": {"b": "3", "a": None}})
        assert merged["data"] == {"b": "3"}
        operations = [{"op": "add", "path": "/data/z", "value": "9"}]
        patched = await api.patch(f"{CONFIGMAPS}/fx1", operations, content_type=JSON_PATCH)
        assert patched["data"] == {"b": "3", "z": "9"}


async def test_a_patch_may_demand_a_resource_version(autojump_clock: MockClock) -> None:
    async with serving() as api:
        made = await api.post(CONFIGMAPS, configmap("a"))
        version = made["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "data": {"x": "1"}}
        await api.patch(f"{CONFIGMAPS}/a", patch)
        assert (await api.patch(f"{CONFIGMAPS}/a", patch, expect=409))["reason"] == "Conflict"


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ([{"op": "test", "path": "/data/a", "value": "2"}], 422),
        ([{"op": "remove", "path": "/data/nope"}], 422),
        ([{"op": "fly", "path": "/data"}], 400),
        ([{"op": "replace", "path": "/metadata/name", "value": "b"}], 400),
        ([{"op": "replace", "path": "/kind", "value": "Secret"}], 400),
    ],
)
async def test_a_json_patch_that_does_not_apply_changes_nothing(
    patch: list[object], code: int, autojump_clock: MockClock
) -> None:
    async with serving() as api:
        made = await api.post(CONFIGMAPS, configmap("a", a="1"))
        await api.patch(f"{CONFIGMAPS}/a", patch, content_type=JSON_PATCH, expect=code)
        assert await api.get(f"{CONFIGMAPS}/a") == made


async def test_dry_run_answers_as_if_and_stores_nothing(autojump_clock: MockClock) -> None:
    async with serving() as api:
        made = await api.post(f"{CONFIGMAPS}?dryRun=All", configmap("a", x="1"))
        assert "resourceVersion" not in made["metadata"]
        await api.get(f"{CONFIGMAPS}/a", expect=404)
        await api.post(CONFIGMAPS, configmap("a", x="1"))
        assert (await api.patch(f"{CONFIGMAPS}/a?dryRun=All", {"data": {"x": "2"}}))["data"] == {"x": "2"}
        await api.delete(f"{CONFIGMAPS}/a?dryRun=All")
        assert (await api.get(f"{CONFIGMAPS}/a"))["data"] == {"x": "1"}


async def test_status_and_spec_are_written_apart(autojump_clock: MockClock) -> None:
    async with serving() as api:
        made = await api.post(DEPLOYMENTS, deployment("web", replicas=2) | {"status": {"replicas": 7}})
        assert made["status"] == {}
        status = await api.patch(f"{DEPLOYMENTS}/web/status", {"status": {"replicas": 2}, "spec": {"replicas": 9}})
        assert (status["status"]["replicas"], status["spec"]["replicas"]) == (2, 2)
        spec = await api.patch(f"{DEPLOYMENTS}/web", {"status": {"replicas": 5}, "spec": {"replicas": 3}})
        assert (spec["status"]["replicas"], spec["spec"]["replicas"]) == (2, 3)


async def test_generation_counts_changes_of_the_desired_state_only(autojump_clock: MockClock) -> None:
    async with serving() as api:
        made = await api.post(DEPLOYMENTS, deployment("web"))
        assert made["metadata"]["generation"] == 1
        scaled = await api.patch(f"{DEPLOYMENTS}/web", {"spec": {"replicas": 5}})
        assert scaled["metadata"]["generation"] == 2
        labelled = await api.patch(f"{DEPLOYMENTS}/web", {"metadata": {"labels": {"a": "b"}}})
        assert labelled["metadata"]["generation"] == 2
        reported = await api.patch(f"{DEPLOYMENTS}/web/status", {"status": {"replicas": 5}})
        assert reported["metadata"]["generation"] == 2


async def test_scale_is_a_view_of_the_replicas(autojump_clock: MockClock) -> None:
    async with serving() as api:
        made = await api.post(DEPLOYMENTS, deployment("fx", replicas=3))
        meta = {k: made["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")}
        scale = await api.get(f"{DEPLOYMENTS}/fx/scale")
        assert scale == {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": meta,
            "spec": {"replicas": 3},
            "status": {"replicas": 0, "selector": "app=fx"},
        }
        scale["spec"]["replicas"] = 4
        assert (await api.put(f"{DEPLOYMENTS}/fx/scale", scale))["spec"] == {"replicas": 4}
        assert (await api.put(f"{DEPLOYMENTS}/fx/scale", scale, expect=409))["reason"] == "Conflict"
        await api.patch(f"{DEPLOYMENTS}/fx/scale", {"spec": {"replicas": 2}})
        now = await api.get(f"{DEPLOYMENTS}/fx")
        assert (now["spec"]["replicas"], now["metadata"]["generation"]) == (2, 3)


async def bound(api: Api, name: str = "p", **spec: Any) -> dict[str, Any]:
    return await api.post(PODS, pod(name, nodeName="n-1", **spec))  # type: ignore[no-any-return]


async def test_a_delete_answers_with_a_status_that_names_the_object(autojump_clock: MockClock) -> None:
    async with serving() as api:
        uid = (await api.post(CONFIGMAPS, configmap("fx2")))["metadata"]["uid"]
        assert await api.delete(f"{CONFIGMAPS}/fx2") == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {"name": "fx2", "kind": "configmaps", "uid": uid},
        }
        await api.delete(f"{CONFIGMAPS}/fx2", expect=404)


async def test_a_running_pod_is_marked_then_removed_by_a_delete_without_grace(autojump_clock: MockClock) -> None:
    async with serving() as api:
        uid = (await bound(api))["metadata"]["uid"]
        marked = await api.delete(f"{PODS}/p")
        assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
        assert (await api.get(f"{PODS}/p"))["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
        again = await api.delete(f"{PODS}/p")
        assert again["metadata"]["resourceVersion"] == marked["metadata"]["resourceVersion"]
        await api.delete(f"{PODS}/p", {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})
        await api.get(f"{PODS}/p", expect=404)


async def test_grace_can_be_shortened_and_not_lengthened(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await bound(api)
        await api.delete(f"{PODS}/p?gracePeriodSeconds=20")
        shorter = await api.delete(f"{PODS}/p", {"gracePeriodSeconds": 5})
        assert shorter["metadata"]["deletionGracePeriodSeconds"] == 5
        longer = await api.delete(f"{PODS}/p", {"gracePeriodSeconds": 60})
        assert longer["metadata"]["deletionGracePeriodSeconds"] == 5


async def test_a_pod_that_runs_nowhere_goes_at_once(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(PODS, pod("p"))
        await api.delete(f"{PODS}/p")
        await api.get(f"{PODS}/p", expect=404)


async def test_a_finalizer_holds_the_object_until_it_is_taken_out(autojump_clock: MockClock) -> None:
    async with serving() as api:
        body = configmap("a")
        body["metadata"]["finalizers"] = ["example.com/hold"]
        await api.post(CONFIGMAPS, body)
        held = await api.delete(f"{CONFIGMAPS}/a")
        assert held["metadata"]["deletionTimestamp"]
        assert held["metadata"]["finalizers"] == ["example.com/hold"]
        more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
        refused = await api.patch(f"{CONFIGMAPS}/a", more, expect=422)
        assert "no new finalizers can be added if the object is being deleted" in refused["message"]
        await api.patch(f"{CONFIGMAPS}/a", {"metadata": {"finalizers": None}})
        await api.get(f"{CONFIGMAPS}/a", expect=404)


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_foreground_and_orphan_deletion_wait_for_the_garbage_collector(
    policy: str, finalizer: str, autojump_clock: MockClock
) -> None:
    async with serving() as api:
        await api.post(DEPLOYMENTS, deployment("web"))
        marked = await api.delete(f"{DEPLOYMENTS}/web", {"propagationPolicy": policy})
        assert marked["metadata"]["finalizers"] == [finalizer]
        assert marked["metadata"]["generation"] == 2
        await api.delete(f"{DEPLOYMENTS}/web", {"propagationPolicy": "Background"})
        await api.get(f"{DEPLOYMENTS}/web", expect=404)


async def test_a_failed_precondition_deletes_nothing(autojump_clock: MockClock) -> None:
    async with serving() as api:
        made = await api.post(CONFIGMAPS, configmap("a"))
        old = {"preconditions": {"resourceVersion": made["metadata"]["resourceVersion"]}}
        await api.patch(f"{CONFIGMAPS}/a", {"data": {"x": "1"}})
        assert (await api.delete(f"{CONFIGMAPS}/a", old, expect=409))["reason"] == "Conflict"
        await api.get(f"{CONFIGMAPS}/a")


async def test_a_collection_is_deleted_by_selector(autojump_clock: MockClock) -> None:
    async with serving() as api:
        for i in range(4):
            body = configmap(f"c-{i}")
            body["metadata"]["labels"] = {"odd": str(i % 2)}
            await api.post(CONFIGMAPS, body)
        deleted = await api.delete(f"{CONFIGMAPS}?labelSelector=odd%3D1")
        assert [i["metadata"]["name"] for i in deleted["items"]] == ["c-1", "c-3"]
        left = await api.get(CONFIGMAPS)
        assert [i["metadata"]["name"] for i in left["items"]] == ["c-0", "c-2"]


async def test_a_namespace_goes_when_it_was_finalized(autojump_clock: MockClock) -> None:
    async with serving() as api:
        made = await api.post(NAMESPACES, {"metadata": {"name": "old"}})
        assert made["spec"] == {"finalizers": ["kubernetes"]}
        assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "old"}
        marked = await api.delete(f"{NAMESPACES}/old")
        assert marked["status"]["phase"] == "Terminating"
        marked["spec"]["finalizers"] = []
        await api.put(f"{NAMESPACES}/old", marked)
        assert (await api.get(f"{NAMESPACES}/old"))["spec"]["finalizers"] == ["kubernetes"], "only finalize does it"
        marked = await api.get(f"{NAMESPACES}/old")
        marked["spec"]["finalizers"] = []
        await api.put(f"{NAMESPACES}/old/finalize", marked)
        await api.get(f"{NAMESPACES}/old", expect=404)


async def test_the_first_namespaces_cannot_be_deleted(autojump_clock: MockClock) -> None:
    async with serving() as api:
        refused = await api.delete(f"{NAMESPACES}/default", expect=403)
        assert refused["message"] == 'namespaces "default" is forbidden: this namespace may not be deleted'


async def test_a_node_is_created_with_its_status(autojump_clock: MockClock) -> None:
    async with serving() as api:
        node = {"metadata": {"name": "n-1"}, "status": {"capacity": {"pods": "110"}}}
        made = await api.post(NODES, node)
        assert made["status"] == {"capacity": {"pods": "110"}, "allocatable": {"pods": "110"}}

from trio.testing import MockClock

from tests.fakes.world import FakeWorld
from tests.unit.apiserver.api import PODS, Api, api_server, pod


def binding(node: str, **metadata: object) -> dict[str, object]:
    target = {"kind": "Node", "name": node}
    return {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p", **metadata}, "target": target}


async def test_a_binding_assigns_the_pod_once(api: Api, autojump_clock: MockClock) -> None:
    await api.post(PODS, pod("p"))
    assert await api.post(f"{PODS}/p/binding", binding("n-1")) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "code": 201,
    }
    bound = await api.get(f"{PODS}/p")
    assert bound["spec"]["nodeName"] == "n-1"
    [condition] = bound["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")
    refused = await api.post(f"{PODS}/p/binding", binding("n-2"), expect=409)
    assert refused["message"] == (
        'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n-1"'
    )


async def test_a_binding_may_demand_the_incarnation_it_was_decided_for(api: Api, autojump_clock: MockClock) -> None:
    await api.post(PODS, pod("p"))
    assert (await api.post(f"{PODS}/p/binding", binding("n-1", uid="old"), expect=409))["reason"] == "Conflict"
    assert "nodeName" not in (await api.get(f"{PODS}/p"))["spec"]


async def test_the_older_path_of_bindings_names_the_pod_in_the_body(api: Api, autojump_clock: MockClock) -> None:
    await api.post(PODS, pod("p"))
    await api.post("/api/v1/namespaces/default/bindings", binding("n-1"))
    assert (await api.get(f"{PODS}/p"))["spec"]["nodeName"] == "n-1"


async def test_a_binding_to_nothing_is_refused(api: Api, autojump_clock: MockClock) -> None:
    await api.post(PODS, pod("p"))
    refused = await api.post(f"{PODS}/p/binding", {"metadata": {"name": "p"}}, expect=422)
    assert refused["message"] == 'Binding "p" is invalid: target.name: Required value'


async def test_a_pod_is_defaulted_as_upstream_does(world: FakeWorld, autojump_clock: MockClock) -> None:
    async with api_server(world, pod_eviction_toleration_s=30.0) as api:
        made = await api.post(PODS, pod("p"))
    spec = made["spec"]
    assert spec["containers"] == [
        {
            "name": "c",
            "image": "registry.example/web:1",
            "resources": {},
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        }
    ]
    assert spec["tolerations"] == [
        {"key": f"node.kubernetes.io/{k}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}
        for k in ("not-ready", "unreachable")
    ]
    assert {k: spec[k] for k in ("restartPolicy", "terminationGracePeriodSeconds", "dnsPolicy", "schedulerName")} == {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
    }
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


async def test_a_pod_that_tolerates_by_itself_is_left_alone(api: Api, autojump_clock: MockClock) -> None:
    own = [{"operator": "Exists"}]
    assert (await api.post(PODS, pod("p", tolerations=own)))["spec"]["tolerations"] == own


async def test_of_a_pods_spec_little_can_be_changed(api: Api, autojump_clock: MockClock) -> None:
    await api.post(PODS, pod("p"))
    image = [{"op": "replace", "path": "/spec/containers/0/image", "value": "registry.example/web:2"}]
    changed = await api.patch(f"{PODS}/p", image, content_type="application/json-patch+json")
    assert changed["spec"]["containers"][0]["image"] == "registry.example/web:2"
    refused = await api.patch(f"{PODS}/p", {"spec": {"nodeName": "n-9"}}, expect=422)
    assert "pod updates may not change fields other than" in refused["message"]


async def test_a_kubelets_status_update_leaves_the_spec_alone(api: Api, autojump_clock: MockClock) -> None:
    made = await api.post(PODS, pod("p", nodeName="n-1"))
    made["status"] = {"phase": "Running", "podIP": "10.244.0.4"}
    made["spec"]["nodeName"] = "n-2"
    updated = await api.put(f"{PODS}/p/status", made)
    assert (updated["status"]["phase"], updated["spec"]["nodeName"]) == ("Running", "n-1")
    listed = await api.get(f"{PODS}?fieldSelector=status.phase%3DRunning,status.podIP%3D10.244.0.4")
    assert len(listed["items"]) == 1


async def test_quality_of_service_follows_requests_and_limits(api: Api, autojump_clock: MockClock) -> None:
    limits = {"cpu": "1", "memory": "1Gi"}
    container = {"name": "c", "image": "i:1"}
    guaranteed = pod("g", containers=[{**container, "resources": {"limits": limits, "requests": limits}}])
    burstable = pod("b", containers=[{**container, "resources": {"requests": {"cpu": "1"}}}])
    assert (await api.post(PODS, guaranteed))["status"]["qosClass"] == "Guaranteed"
    assert (await api.post(PODS, burstable))["status"]["qosClass"] == "Burstable"

"""Refusals are worded as kube-apiserver words them: each expected body was recorded from a real v1.28.0."""

from typing import Any

import orjson
import pytest
from trio.testing import MockClock

from tests.unit.apiserver.api import CONFIGMAPS, DEPLOYMENTS, PODS, configmap, deployment, serving


def status(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }
    return {k: v for k, v in body.items() if v is not None}


async def test_404_of_an_object_that_is_not_there(autojump_clock: MockClock) -> None:
    async with serving() as api:
        assert await api.get(f"{PODS}/absent", expect=404) == status(
            404, "NotFound", 'pods "absent" not found', {"name": "absent", "kind": "pods"}
        )


async def test_404_of_a_grouped_kind_names_the_group(autojump_clock: MockClock) -> None:
    async with serving() as api:
        assert await api.get(f"{DEPLOYMENTS}/absent", expect=404) == status(
            404,
            "NotFound",
            'deployments.apps "absent" not found',
            {"name": "absent", "group": "apps", "kind": "deployments"},
        )


async def test_404_of_a_path_outside_the_api_is_text(autojump_clock: MockClock) -> None:
    async with serving() as api:
        response = await api.request("GET", "/apis/nope/v1/things")
        assert (response.status, response.body) == (404, b"404 page not found\n")
        assert response.headers["content-type"] == "text/plain; charset=utf-8"


async def test_404_of_a_resource_that_its_group_does_not_have(autojump_clock: MockClock) -> None:
    async with serving() as api:
        assert await api.get("/api/v1/nopes", expect=404) == status(
            404, "NotFound", "the server could not find the requested resource", {}
        )


async def test_405_of_a_method_that_the_path_does_not_have(autojump_clock: MockClock) -> None:
    async with serving() as api:
        assert await api.post(f"{CONFIGMAPS}/fx1", {}, expect=405) == status(
            405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
        )


async def test_406_of_a_client_that_takes_no_json(autojump_clock: MockClock) -> None:
    async with serving() as api:
        body = await api.ask("GET", CONFIGMAPS, accept="text/html;q=1", expect=406)
        assert body["reason"] == "NotAcceptable"
        assert body["message"].startswith("406: Not Acceptable\n\nAvailable representations: application/json")


@pytest.mark.parametrize(
    "accept",
    [
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
        "application/json, */*",
        "*/*",
        "",
    ],
)
async def test_a_client_that_prefers_tables_is_given_plain_json(accept: str, autojump_clock: MockClock) -> None:
    async with serving() as api:
        assert (await api.ask("GET", CONFIGMAPS, accept=accept))["kind"] == "ConfigMapList"


async def test_409_of_a_second_creation(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("fx1", a="1"))
        assert await api.post(CONFIGMAPS, configmap("fx1", a="1"), expect=409) == status(
            409, "AlreadyExists", 'configmaps "fx1" already exists', {"name": "fx1", "kind": "configmaps"}
        )


async def test_409_of_an_update_based_on_an_old_state(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("fx1", a="1"))
        stale = configmap("fx1", a="2")
        stale["metadata"]["resourceVersion"] = "1"
        message = (
            'Operation cannot be fulfilled on configmaps "fx1": the object has been modified; please apply your '
            "changes to the latest version and try again"
        )
        assert await api.put(f"{CONFIGMAPS}/fx1", stale, expect=409) == status(
            409, "Conflict", message, {"name": "fx1", "kind": "configmaps"}
        )


async def test_409_of_a_delete_whose_precondition_fails(autojump_clock: MockClock) -> None:
    async with serving() as api:
        uid = (await api.post(CONFIGMAPS, configmap("fx1")))["metadata"]["uid"]
        options = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "nope"}}
        message = (
            f'Operation cannot be fulfilled on ConfigMap "fx1": the UID in the precondition (nope) does not match the '
            f"UID in record ({uid}). The object might have been deleted and then recreated"
        )
        assert await api.delete(f"{CONFIGMAPS}/fx1", options, expect=409) == status(
            409, "Conflict", message, {"name": "fx1", "kind": "ConfigMap"}
        )


async def test_415_of_a_patch_that_is_no_json(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("fx1"))
        assert await api.patch(f"{CONFIGMAPS}/fx1", {}, content_type="text/plain", expect=415) == status(
            415, "UnsupportedMediaType", "415: Unsupported Media Type", {}
        )


async def test_415_of_a_patch_type_that_is_not_served(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(CONFIGMAPS, configmap("fx1"))
        content_type = "application/strategic-merge-patch+json"
        body = await api.patch(f"{CONFIGMAPS}/fx1", {}, content_type=content_type, expect=415)
        assert body["message"] == (
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json-patch+json, application/merge-patch+json"
        )


async def test_422_names_every_fault_of_an_object(autojump_clock: MockClock) -> None:
    async with serving() as api:
        bad = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "Bad_Name"}, "spec": {"containers": []}}
        rule = (
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
            r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
        )
        name = f'Invalid value: "Bad_Name": {rule}'
        causes = [
            {"reason": "FieldValueInvalid", "message": name, "field": "metadata.name"},
            {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers"},
        ]
        assert await api.post(PODS, bad, expect=422) == status(
            422,
            "Invalid",
            f'Pod "Bad_Name" is invalid: [metadata.name: {name}, spec.containers: Required value]',
            {"name": "Bad_Name", "kind": "Pod", "causes": causes},
        )


async def test_422_of_a_change_to_an_immutable_selector(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post(DEPLOYMENTS, deployment("fx"))
        labels = 'Invalid value: map[string]string{"app":"fx"}: `selector` does not match template `labels`'
        selector = (
            'Invalid value: v1.LabelSelector{MatchLabels:map[string]string{"app":"zz"}, '
            "MatchExpressions:[]v1.LabelSelectorRequirement(nil)}: field is immutable"
        )
        patch = {"spec": {"selector": {"matchLabels": {"app": "zz"}}}}
        causes = [
            {"reason": "FieldValueInvalid", "message": labels, "field": "spec.template.metadata.labels"},
            {"reason": "FieldValueInvalid", "message": selector, "field": "spec.selector"},
        ]
        assert await api.patch(f"{DEPLOYMENTS}/fx", patch, expect=422) == status(
            422,
            "Invalid",
            f'Deployment.apps "fx" is invalid: [spec.template.metadata.labels: {labels}, spec.selector: {selector}]',
            {"name": "fx", "group": "apps", "kind": "Deployment", "causes": causes},
        )


async def test_400_of_a_body_that_is_no_json(autojump_clock: MockClock) -> None:
    async with serving() as api:
        message = (
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse "
            "error: invalid character 'n' looking for beginning of object key string ({nope)"
        )
        assert await api.post(CONFIGMAPS, b"{nope", expect=400) == status(400, "BadRequest", message)


async def test_400_of_a_body_of_another_kind(autojump_clock: MockClock) -> None:
    async with serving() as api:
        body = await api.post(CONFIGMAPS, {"apiVersion": "v1", "kind": "Secret", "metadata": {}}, expect=400)
        assert body["message"] == 'Secret in version "v1" cannot be handled as a ConfigMap'
        body = await api.post(CONFIGMAPS, {"apiVersion": "v2", "kind": "ConfigMap"}, expect=400)
        assert body["message"] == "the API version in the data (v2) does not match the expected API version (v1)"


async def test_400_of_a_field_of_the_wrong_type(autojump_clock: MockClock) -> None:
    async with serving() as api:
        bad = deployment("web", replicas="three")
        body = await api.post(DEPLOYMENTS, bad, expect=400)
        assert body["message"] == (
            'Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go '
            "struct field Deployment.spec.replicas of type int64"
        )


async def test_400_of_another_namespace_or_name_than_the_url_has(autojump_clock: MockClock) -> None:
    async with serving() as api:
        foreign = configmap("a")
        foreign["metadata"]["namespace"] = "kube-system"
        body = await api.post(CONFIGMAPS, foreign, expect=400)
        assert body["message"] == (
            "the namespace of the provided object does not match the namespace sent on the request"
        )
        await api.post(CONFIGMAPS, configmap("a"))
        body = await api.put(f"{CONFIGMAPS}/a", configmap("b"), expect=400)
        assert body["message"] == "the name of the object (b) does not match the name on the URL (a)"


async def test_400_of_an_unknown_field_selector(autojump_clock: MockClock) -> None:
    async with serving() as api:
        assert await api.get("/api/v1/pods?fieldSelector=spec.nope%3Dx", expect=400) == status(
            400, "BadRequest", "field label not supported: spec.nope"
        )
        body = await api.get(f"{CONFIGMAPS}?fieldSelector=data.a%3Dx", expect=400)
        assert body["message"] == ('"data.a" is not a known field selector: only "metadata.name", "metadata.namespace"')


async def test_400_of_a_continue_token_that_is_none(autojump_clock: MockClock) -> None:
    async with serving() as api:
        message = (
            "invalid continue token: continue key is not valid: invalid character 'i' looking for beginning of value"
        )
        assert await api.get(f"{PODS}?limit=1&continue=abc", expect=400) == status(400, "BadRequest", message)


async def test_403_of_content_for_a_namespace_that_is_going_away(autojump_clock: MockClock) -> None:
    async with serving() as api:
        await api.post("/api/v1/namespaces", {"metadata": {"name": "old"}})
        await api.delete("/api/v1/namespaces/old")
        message = (
            'configmaps "a" is forbidden: unable to create new content in namespace old because it is being terminated'
        )
        cause = {
            "reason": "NamespaceTerminating",
            "message": "namespace old is being terminated",
            "field": "metadata.namespace",
        }
        assert await api.post("/api/v1/namespaces/old/configmaps", configmap("a"), expect=403) == status(
            403, "Forbidden", message, {"name": "a", "kind": "configmaps", "causes": [cause]}
        )


async def test_404_of_content_for_a_namespace_that_is_not_there(autojump_clock: MockClock) -> None:
    async with serving() as api:
        assert await api.post("/api/v1/namespaces/none/configmaps", configmap("a"), expect=404) == status(
            404, "NotFound", 'namespaces "none" not found', {"name": "none", "kind": "namespaces"}
        )


async def test_504_of_a_resource_version_that_is_not_reached(autojump_clock: MockClock) -> None:
    async with serving() as api:
        response = await api.request("GET", f"{PODS}?resourceVersion=99999999999")
        assert response.headers["retry-after"] == "1"
        body = orjson.loads(response.body)
        current = (await api.get(f"{PODS}?resourceVersion=0"))["metadata"]["resourceVersion"]
        assert body == status(
            504,
            "Timeout",
            f"Timeout: Too large resource version: 99999999999, current: {current}",
            {
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1,
            },
        )

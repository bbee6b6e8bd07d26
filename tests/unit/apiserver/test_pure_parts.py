import pytest

from ha.controlplane.apiserver.gojson import go_json_error
from ha.controlplane.apiserver.routing import Route, Router
from ha.controlplane.apiserver.selection import Position
from ha.kube.errors import ApiError
from ha.kube.kinds import DEPLOYMENT, KINDS, NAMESPACE, NODE, POD, kind_of

ROUTER = Router(list(KINDS))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"{nope", "invalid character 'n' looking for beginning of object key string"),
        (b"i\xb7", "invalid character 'i' looking for beginning of value"),
        (b"", "unexpected end of JSON input"),
        (b'{"a": ', "unexpected end of JSON input"),
        (b'{"a": "b', "unexpected end of JSON input"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a": 1 "b": 2}', "invalid character '\"' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b'{"a": [1, {"b": 2} 3]}', "invalid character '3' after array element"),
        (b"{} x", "invalid character 'x' after top-level value"),
    ],
)
def test_faulty_json_is_described_in_gos_words(text: bytes, error: str) -> None:
    assert go_json_error(text) == error


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/v1/pods", Route(POD, None, None)),
        ("/api/v1/namespaces/a/pods", Route(POD, "a", None)),
        ("/api/v1/namespaces/a/pods/p", Route(POD, "a", "p")),
        ("/api/v1/namespaces/a/pods/p/binding", Route(POD, "a", "p", "binding")),
        ("/api/v1/namespaces", Route(NAMESPACE, None, None)),
        ("/api/v1/namespaces/a", Route(NAMESPACE, None, "a")),
        ("/api/v1/namespaces/a/finalize", Route(NAMESPACE, None, "a", "finalize")),
        ("/api/v1/nodes/n/status", Route(NODE, None, "n", "status")),
        ("/apis/apps/v1/namespaces/a/deployments/d/scale", Route(DEPLOYMENT, "a", "d", "scale")),
    ],
)
def test_a_path_names_kind_namespace_name_and_subresource(path: str, route: Route) -> None:
    assert ROUTER.resolve(path) == route


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/apis", "/apis/apps/v1", "/apis/nope/v1/x", "/api/v2/pods"])
def test_a_path_outside_the_api_is_none(path: str) -> None:
    assert ROUTER.resolve(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/pods/p",
        "/api/v1/namespaces/a/nodes",
        "/api/v1/namespaces/a/pods/p/exec",
        "/api/v1/namespaces/a/pods/p/status/x",
        "/api/v1/namespaces/a/nopes",
    ],
)
def test_a_resource_that_there_is_not_is_404(path: str) -> None:
    with pytest.raises(ApiError, match="the server could not find the requested resource"):
        ROUTER.resolve(path)


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/api/v1/pods", "GET", True),
        ("/api/v1/pods", "POST", False),
        ("/api/v1/namespaces", "DELETE", False),
        ("/api/v1/nodes", "DELETE", True),
        ("/api/v1/namespaces/a/pods/p", "POST", False),
        ("/api/v1/namespaces/a/pods/p/binding", "POST", True),
        ("/api/v1/namespaces/a/pods/p/binding", "GET", False),
        ("/api/v1/namespaces/a/bindings", "POST", True),
        ("/api/v1/namespaces/a/bindings", "GET", False),
        ("/api/v1/namespaces/a/finalize", "PUT", True),
        ("/api/v1/namespaces/a/pods/p", "TRACE", False),
    ],
)
def test_each_path_has_its_methods(path: str, method: str, *, allowed: bool) -> None:
    route = ROUTER.resolve(path)
    assert route is not None
    if allowed:
        route.require(method)
    else:
        with pytest.raises(ApiError) as error:
            route.require(method)
        assert error.value.status == 405


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_every_kind_is_found_at_its_own_path(kind: object) -> None:
    assert kind in KINDS
    for k in KINDS:
        namespace = "ns" if k.namespaced else None
        assert ROUTER.resolve(k.path(namespace, "x")) == Route(k, namespace, "x")
        assert kind_of({"apiVersion": k.api_version, "kind": k.kind}) is k


def test_a_continue_token_reads_back() -> None:
    position = Position(119434, "fx-86b59487cc-v7gs9\0")
    assert position.token() == (
        "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTE5NDM0LCJzdGFydCI6ImZ4LTg2YjU5NDg3Y2MtdjdnczlcdTAwMDAifQ"
    ), "recorded from a real server"
    assert Position.parse(position.token()) == position


@pytest.mark.parametrize(
    "token", ["!!", "e30", "eyJ2IjoidjAifQ", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MCwic3RhcnQiOiIifQ"]
)
def test_a_token_of_another_making_is_400(token: str) -> None:
    with pytest.raises(ApiError) as error:
        Position.parse(token)
    assert error.value.status == 400

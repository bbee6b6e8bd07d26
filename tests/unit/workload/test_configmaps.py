from __future__ import annotations

import json

import pytest

from ha.http import ConnectError, ConnectionLost, ProtocolError, RequestTimeout, Response
from ha.workload.configmaps import call, interpret, unanswered
from tests.unit.workload.fake_api import status

OBJECT = json.dumps({"metadata": {"name": "a", "resourceVersion": "17"}, "data": {"value": "v"}}).encode()


@pytest.mark.parametrize("type_", ["read", "write", "cas", "create"])
def test_success_carries_the_revision(type_):
    answer = interpret(type_, Response(200, OBJECT))
    assert (answer.outcome, answer.revision, answer.value) == ("ok", 17, "v")


def test_missing_object_reads_as_absent():
    answer = interpret("read", status(404, "NotFound"))
    assert (answer.outcome, answer.revision, answer.value) == ("ok", 0, None)


def test_missing_path_says_nothing_about_the_object():
    for body in (b"404 page not found", b'{"kind":"Status","reason":"NotFound"}'):
        assert interpret("read", Response(404, body)).outcome == "fail"


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 409, 410, 412, 413, 415, 422, 429])
def test_refusal_is_definite_and_tells_no_revision(code):
    answer = interpret("cas", status(code, "Reason"))
    assert (answer.outcome, answer.revision) == ("fail", None)
    assert answer.error == f"{code} Reason: m"
    assert answer.served == (code != 429)


@pytest.mark.parametrize("code", [302, 408, 500, 502, 503, 504])
def test_failed_server_may_have_written(code):
    assert interpret("write", status(code, "Reason")).outcome == "info"
    assert interpret("read", status(code, "Reason")).outcome == "fail"
    assert not interpret("write", status(code, "Reason")).served


def test_acknowledged_write_with_an_unreadable_answer_stays_acknowledged():
    answer = interpret("write", Response(200, b"{"))
    assert (answer.outcome, answer.revision) == ("ok", None)
    assert interpret("read", Response(200, b"{")).outcome == "fail"


def test_object_that_lost_its_value_is_not_an_unknown_one():
    """Unknown would agree with whatever was written."""
    answer = interpret("read", Response(200, b'{"metadata":{"name":"a","resourceVersion":"17"}}'))
    assert (answer.outcome, answer.value, answer.revision) == ("ok", "", 17)


def test_answer_without_a_revision_shows_no_read():
    assert interpret("read", Response(200, b"{}")).outcome == "fail"
    assert interpret("create", Response(201, b"{}")).outcome == "ok"


def test_only_an_unsent_request_is_a_definite_failure():
    assert unanswered(ConnectError("refused")).outcome == "fail"
    for error in (RequestTimeout("t"), ConnectionLost("l"), ProtocolError("p")):
        assert unanswered(error).outcome == "info"


def test_cas_is_an_update_with_the_expected_resource_version():
    request = call("cas", "register", "register-1", value="v", expected=7)
    assert (request.method, request.target) == ("PUT", "/api/v1/namespaces/ha-workload/configmaps/register-1")
    assert json.loads(request.body)["metadata"]["resourceVersion"] == "7"


def test_write_is_an_update_without_one():
    request = call("write", "register", "register-1", value="v")
    assert "resourceVersion" not in json.loads(request.body)["metadata"]

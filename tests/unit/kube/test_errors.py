import pytest

from ha.kube import errors
from ha.kube.errors import ApiError, Cause
from ha.kube.kinds import DEPLOYMENT, POD


@pytest.mark.parametrize(
    ("error", "definite"),
    [
        (errors.not_found(POD, "a"), True),
        (errors.conflict(POD, "a"), True),
        (errors.already_exists(POD, "a"), True),
        (errors.too_many_requests("busy"), True),
        (errors.service_unavailable("etcdserver: no leader"), True),
        (errors.internal_error("etcdserver: request timed out"), False),
        (errors.store_timeout("context deadline exceeded"), False),
    ],
    ids=lambda value: value.reason if isinstance(value, ApiError) else None,
)
def test_an_answer_tells_whether_the_request_certainly_had_no_effect(error: ApiError, *, definite: bool) -> None:
    assert error.definite is definite
    assert ApiError.from_status(error.status, error.to_status()).definite is definite


def test_a_status_reads_back_to_the_same_error() -> None:
    error = errors.invalid(DEPLOYMENT, "d", [Cause.required("spec.selector")])
    again = ApiError.from_status(422, error.to_status())
    assert (again.status, again.reason, again.message, again.details) == (
        error.status,
        error.reason,
        error.message,
        error.details,
    )


def test_one_cause_is_not_put_in_brackets() -> None:
    error = errors.invalid(DEPLOYMENT, "d", [Cause.required("spec.selector")])
    assert error.message == 'Deployment.apps "d" is invalid: spec.selector: Required value'


@pytest.mark.parametrize("body", [b"404 page not found", None, {"kind": "Pod"}, []])
def test_an_answer_that_is_no_status_is_kept_as_text(body: object) -> None:
    error = ApiError.from_status(404, body)
    assert (error.status, error.reason, error.message) == (404, "Unknown", str(body))


def test_the_client_is_told_when_to_try_again() -> None:
    assert errors.resource_version_too_large(9, 5).retry_after_s == 1
    assert errors.not_found(POD, "a").retry_after_s is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'),
        ('say "a"', '"say \\"a\\""'),
        (3, "3"),
        (True, "true"),
        (None, "null"),
        ({"b": "2", "a": "1"}, 'map[string]string{"a":"1", "b":"2"}'),
    ],
)
def test_values_are_written_as_go_writes_them(value: object, text: str) -> None:
    assert Cause.invalid("f", value, "bad").message == f"Invalid value: {text}: bad"

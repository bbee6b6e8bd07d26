"""What the API server answers when it does not do what was asked: `ApiError`, to and from ``Status`` objects.

The server raises these, its front turns them into a Status; the client turns a Status back into one. The
constructors carry upstream's wording (k8s.io/apimachinery/pkg/api/errors), because clients and people match it.

`ApiError.definite` tells whether the request certainly had no effect. A refusal (4xx) is definite, and so is
503, which the server gives only for what it never handed to the store. 500 and 504 are not: the store may
have applied the write, now or later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ha.kube.kinds import Kind, Object

__all__ = [
    "ApiError",
    "Cause",
    "already_exists",
    "bad_request",
    "conflict",
    "expired",
    "forbidden",
    "internal_error",
    "invalid",
    "method_not_allowed",
    "no_such_resource",
    "not_acceptable",
    "not_found",
    "request_entity_too_large",
    "resource_version_too_large",
    "service_unavailable",
    "store_timeout",
    "too_many_requests",
    "unprocessable",
    "unsupported_media_type",
]


@dataclass(frozen=True, slots=True)
class Cause:
    """One invalid field: `reason` is a FieldValue… word, `message` says what is wrong, `field` is its path."""

    field: str
    reason: str
    message: str

    @classmethod
    def required(cls, field: str, detail: str = "") -> Cause:
        """A field that must be there and is not."""
        return cls(field, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")

    @classmethod
    def invalid(cls, field: str, value: object, detail: str) -> Cause:
        """A value that is not allowed. Text is quoted as Go quotes it, anything else is written as it prints."""
        return cls(field, "FieldValueInvalid", f"Invalid value: {_go(value)}: {detail}")

    @classmethod
    def invalid_text(cls, field: str, text: str, detail: str) -> Cause:
        """The same for a value that is already written as it shall appear."""
        return cls(field, "FieldValueInvalid", f"Invalid value: {text}: {detail}")

    @classmethod
    def unsupported(cls, field: str, value: object, supported: Iterable[str]) -> Cause:
        """A value that is none of the known ones."""
        known = ", ".join(f'"{s}"' for s in supported)
        return cls(field, "FieldValueNotSupported", f"Unsupported value: {_go(value)}: supported values: {known}")

    @classmethod
    def forbidden(cls, field: str, detail: str) -> Cause:
        """A field that may not be set, or not changed in this way."""
        return cls(field, "FieldValueForbidden", f"Forbidden: {detail}")

    @classmethod
    def duplicate(cls, field: str, value: object) -> Cause:
        """A value that must be unique and is not."""
        return cls(field, "FieldValueDuplicate", f"Duplicate value: {_go(value)}")


def _go(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None:
        return "null"
    if isinstance(value, dict) and all(isinstance(v, str) for v in value.values()):
        return "map[string]string{" + ", ".join(f"{_go(k)}:{_go(v)}" for k, v in sorted(value.items())) + "}"
    return str(value)


class ApiError(Exception):
    """An answer that is not a success: HTTP status, machine-readable reason, message, details of the Status."""

    def __init__(self, status: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.details: Object = details if details is not None else {}
        self.metadata: Object = {}
        """The Status' list metadata: a continue token, where the error offers one."""

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}"

    @property
    def definite(self) -> bool:
        """Whether the request certainly had no effect."""
        return self.status < 500 or self.status == 503

    @property
    def retry_after_s(self) -> int | None:
        """When the server asks to try again, in seconds."""
        seconds = self.details.get("retryAfterSeconds")
        return seconds if isinstance(seconds, int) else None

    def to_status(self) -> Object:
        """The Status object of the answer. `details` is left out when nothing was said, as upstream does."""
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details or self.status in _EMPTY_DETAILS:
            status["details"] = self.details
        status["code"] = self.status
        return status

    @classmethod
    def from_status(cls, status: int, body: object) -> ApiError:
        """Read an answer's body. Whatever is no Status object is kept as the message of an unknown error."""
        if isinstance(body, dict) and body.get("kind") == "Status":
            details = body.get("details")
            return cls(
                int(body.get("code") or status),
                str(body.get("reason") or "Unknown"),
                str(body.get("message") or ""),
                details if isinstance(details, dict) else None,
            )
        return cls(status, "Unknown", str(body))


_EMPTY_DETAILS = frozenset({404, 405, 406, 415, 422, 504})
"""Upstream fills `details` of these with nothing and still sends it."""


def _named(kind: Kind, name: str, *, as_kind: bool = False) -> dict[str, Any]:
    details: dict[str, Any] = {"name": name} if name else {}
    if kind.group:
        details["group"] = kind.group
    details["kind"] = kind.kind if as_kind else kind.plural
    return details


def bad_request(message: str) -> ApiError:
    """400: the request cannot be understood."""
    return ApiError(400, "BadRequest", message)


def forbidden(kind: Kind, name: str, why: str, causes: Iterable[Object] = ()) -> ApiError:
    """403: understood, and refused whatever the object looks like."""
    details = _named(kind, name)
    if listed := list(causes):
        details["causes"] = listed
    subject = f'{kind.qualified_plural} "{name}"' if name else kind.qualified_plural
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details)


def not_found(kind: Kind, name: str) -> ApiError:
    """404: no such object."""
    return ApiError(404, "NotFound", f'{kind.qualified_plural} "{name}" not found', _named(kind, name))


def no_such_resource() -> ApiError:
    """404: the group exists, the resource does not."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def method_not_allowed() -> ApiError:
    """405."""
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def not_acceptable(available: Iterable[str]) -> ApiError:
    """406: none of the representations that the client accepts."""
    listed = ", ".join(available)
    return ApiError(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {listed}")


def already_exists(kind: Kind, name: str) -> ApiError:
    """409 on create."""
    return ApiError(409, "AlreadyExists", f'{kind.qualified_plural} "{name}" already exists', _named(kind, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(kind: Kind, name: str, why: str = MODIFIED, *, as_kind: bool = False) -> ApiError:
    """409 on update or delete. Failed preconditions are reported against the kind, not the resource (as upstream)."""
    subject = kind.kind if as_kind else kind.qualified_plural
    message = f'Operation cannot be fulfilled on {subject} "{name}": {why}'
    return ApiError(409, "Conflict", message, _named(kind, name, as_kind=as_kind))


def expired(message: str) -> ApiError:
    """410: the resourceVersion or the continue token is older than what is kept. List again."""
    return ApiError(410, "Expired", message)


def request_entity_too_large(message: str) -> ApiError:
    """413: the store takes no object of that size."""
    return ApiError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(detail: str = "415: Unsupported Media Type") -> ApiError:
    """415: a body, or a patch, in a format that is not understood here."""
    return ApiError(415, "UnsupportedMediaType", detail)


def invalid(kind: Kind, name: str, causes: list[Cause]) -> ApiError:
    """422: the object breaks rules; every broken one is named."""
    assert causes, "an object without a fault is not invalid"
    texts = [f"{c.field}: {c.message}" for c in causes]
    summary = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _named(kind, name, as_kind=True)
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return ApiError(422, "Invalid", f'{kind.qualified_kind} "{name}" is invalid: {summary}', details)


def unprocessable() -> ApiError:
    """422 without particulars: a patch that does not apply."""
    return ApiError(422, "Invalid", "the server rejected our request due to an error in our request")


def too_many_requests(message: str, retry_after_s: int = 1) -> ApiError:
    """429: nothing was done; try again."""
    return ApiError(429, "TooManyRequests", message, {"retryAfterSeconds": retry_after_s})


def internal_error(message: str) -> ApiError:
    """500: the outcome is unknown."""
    details = {"causes": [{"message": message}]}
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", details)


def service_unavailable(message: str) -> ApiError:
    """503: the store was not reached, or has no leader; certainly nothing was done."""
    return ApiError(503, "ServiceUnavailable", message, {"retryAfterSeconds": 1})


def store_timeout(message: str) -> ApiError:
    """504: the store did not answer in time; a write may have been applied."""
    return ApiError(504, "Timeout", f"Timeout: {message}")


def resource_version_too_large(asked: int, current: int) -> ApiError:
    """504: the client has seen a later state than this server has. Try again."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return ApiError(504, "Timeout", f"Timeout: Too large resource version: {asked}, current: {current}", details)

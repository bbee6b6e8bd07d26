"""Bodies: what comes in and what goes out. JSON only.

kubectl asks for tables first and JSON last; what is not offered is passed over, what nobody offers is a 406.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from ha.controlplane.apiserver.gojson import go_json_error
from ha.http import Request, Response
from ha.kube import errors
from ha.kube.errors import ApiError
from ha.kube.kinds import Kind, Object

__all__ = ["HEADERS", "PATCHES", "body_of", "json_response", "object_of", "require_acceptable", "status_response"]

HEADERS: Mapping[str, str] = {"Cache-Control": "no-cache, private"}
AVAILABLE = ("application/json", "application/json;stream=watch")
PATCHES = ("application/json-patch+json", "application/merge-patch+json")
_JSON_RANGES = frozenset({"application/json", "application/*", "*/*"})
_EXCERPT = 30


def require_acceptable(request: Request) -> None:
    """Raises the 406 of a client that takes no JSON."""
    accept = request.headers.get("accept", "")
    if not accept or any(_is_plain_json(media_range) for media_range in accept.split(",")):
        return
    raise errors.not_acceptable(AVAILABLE)


def _is_plain_json(media_range: str) -> bool:
    media_type, *parameters = (p.strip() for p in media_range.split(";"))
    return media_type in _JSON_RANGES and not any(p.startswith("as=") for p in parameters)


def body_of(request: Request, kind: str) -> object:
    """The decoded JSON of a request's body. `kind` names what it should be, for the error."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if media_type not in {"", "application/json"}:
        raise errors.unsupported_media_type()
    try:
        return orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
            f"json parse error: {go_json_error(request.body)} ({_excerpt(request.body)})",
        ) from error


def object_of(request: Request, kind: Kind, *, expected: Kind | None = None) -> Object:
    """The object in a request's body. Raises the 400 of one that is no object, or one of another kind."""
    wanted = expected or kind
    body = body_of(request, wanted.kind)
    if not isinstance(body, dict):
        raise errors.bad_request(
            f"the object provided is unrecognized (must be of type {wanted.kind}): couldn't get version/kind; "
            f"json parse error: json: cannot unmarshal {'array' if isinstance(body, list) else 'value'} into Go value "
            f"of type struct {{ APIVersion string; Kind string }} ({_excerpt(request.body)})",
        )
    check_kind(body, wanted)
    return body


def check_kind(body: Object, wanted: Kind) -> None:
    """The object is what its path says; one that does not say what it is, is believed to be."""
    api_version, kind = body.get("apiVersion") or wanted.api_version, body.get("kind") or wanted.kind
    if api_version != wanted.api_version:
        raise errors.bad_request(
            f"the API version in the data ({api_version}) does not match the expected API version "
            f"({wanted.api_version})",
        )
    if kind != wanted.kind:
        raise errors.bad_request(f'{kind} in version "{wanted.version}" cannot be handled as a {wanted.kind}')


def _excerpt(body: bytes) -> str:
    if not body:
        return "<empty>"
    text = body[:_EXCERPT].decode(errors="replace") if body.startswith(b"{") else body[:_EXCERPT].hex()
    return text + (" ..." if len(body) > _EXCERPT else "")


def json_response(request: Request, body: bytes, status: int = 200) -> Response:
    """An answer. ``?pretty=true`` is for people."""
    if "pretty=" in request.target and request.query.get("pretty") in {"true", "1"}:
        body = orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    return Response(status, body, headers=HEADERS)


def status_response(request: Request, error: ApiError) -> Response:
    """An error as its Status object."""
    response = json_response(request, orjson.dumps(error.to_status()), error.status)
    if not error.retry_after_s:
        return response
    return Response(response.status, response.body, headers={**HEADERS, "Retry-After": str(error.retry_after_s)})

"""What a list or watch request asks for: which objects, as of when, how many.

The rules for ``resourceVersion``, ``resourceVersionMatch``, ``limit`` and ``continue`` are those of the
Kubernetes API documentation ("Resource versions", "Semantics for get, list and watch").
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec

from ha.controlplane.apiserver.cache import Entry
from ha.controlplane.apiserver.gojson import go_json_error
from ha.controlplane.apiserver.resource import Resource
from ha.kube import errors
from ha.kube.errors import ApiError, Cause
from ha.kube.kinds import Kind
from ha.kube.selectors import FieldSelector, Selector, SelectorError, parse_fields, parse_labels

__all__ = ["Freshness", "ListOptions", "Position", "Selection", "flag", "list_options", "parse_revision", "selection"]

Freshness: TypeAlias = Literal["recent", "any", "not-older", "exact", "continue"]
_LIST_OPTIONS = Kind("meta.k8s.io", "v1", "ListOptions", "listoptions", namespaced=False)
_TOKEN_VERSION = "meta.k8s.io/v1"  # noqa: S105  (a format's name)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a kind. `prefix` is the beginning of their path; `path` is set when only one can match."""

    prefix: str
    path: str | None
    labels: Selector
    fields: FieldSelector

    def matches(self, entry: Entry) -> bool:
        """Whether the selectors take an object (its path is not looked at)."""
        return self.labels.matches(entry.labels) and self.fields.matches(entry.fields)

    @property
    def selective(self) -> bool:
        """Whether there are selectors at all."""
        return bool(self.labels) or bool(self.fields)


class Position(msgspec.Struct, frozen=True):
    """Where a list goes on: at `start` below the prefix, as of `revision` (-1: as of now, inconsistently)."""

    revision: int
    start: str

    def token(self) -> str:
        """The opaque text that clients hand back, in upstream's format."""
        body = msgspec.json.encode({"v": _TOKEN_VERSION, "rv": self.revision, "start": self.start})
        return base64.urlsafe_b64encode(body).rstrip(b"=").decode()

    @classmethod
    def parse(cls, token: str) -> Position:
        """Raises the 400 that upstream gives."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError) as error:
            raise _bad_token("illegal base64 data") from error
        try:
            body = json.loads(raw.decode("latin-1"))
        except ValueError as error:
            raise _bad_token(go_json_error(raw)) from error
        match body:
            case {"v": "meta.k8s.io/v1", "rv": int(revision), "start": str(start)} if start and revision:
                if any(part in {".", ".."} for part in start.split("/")):
                    raise _bad_token(start)
                return cls(revision, start)
            case {"v": "meta.k8s.io/v1"}:
                raise errors.bad_request(
                    "invalid continue token: continue key is not valid: incorrect encoded start resourceVersion "
                    "(version meta.k8s.io/v1)",
                )
        version = body.get("v", "") if isinstance(body, dict) else ""
        raise _bad_token(f'server does not recognize this encoded version "{version}"')


def _bad_token(why: str) -> ApiError:
    return errors.bad_request(f"invalid continue token: continue key is not valid: {why}")


@dataclass(frozen=True, slots=True)
class ListOptions:
    """The query of a list or watch, decoded."""

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
    watch: bool = False
    timeout_s: int | None = None
    bookmarks: bool = False
    send_initial_events: bool | None = None

    @property
    def freshness(self) -> Freshness:
        """How recent the answer has to be: the table of the API documentation."""
        if self.continue_:
            return "continue"
        if self.resource_version == "":
            return "recent"
        if self.resource_version_match == "Exact":
            return "exact"
        if self.resource_version == "0":
            return "any"
        return "exact" if self.limit and not self.resource_version_match else "not-older"


def list_options(query: Mapping[str, str]) -> ListOptions:
    """Decode and check. Raises ApiError."""
    initial = query.get("sendInitialEvents")
    options = ListOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        limit=max(0, _integer(query, "limit") or 0),
        continue_=query.get("continue", ""),
        resource_version=query.get("resourceVersion", ""),
        resource_version_match=query.get("resourceVersionMatch", ""),
        watch=flag(query, "watch"),
        timeout_s=_integer(query, "timeoutSeconds"),
        bookmarks=flag(query, "allowWatchBookmarks"),
        send_initial_events=None if initial is None else flag(query, "sendInitialEvents"),
    )
    if causes := _faults(options):
        raise errors.invalid(_LIST_OPTIONS, "", causes)
    if options.continue_ and options.resource_version not in {"", "0"}:
        raise errors.bad_request("specifying resource version is not allowed when using continue")
    return options


def _faults(options: ListOptions) -> list[Cause]:
    match, field = options.resource_version_match, "resourceVersionMatch"
    if options.watch and options.send_initial_events is not None:
        if match != "NotOlderThan":
            why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
            return [Cause.forbidden(field, why)]
        return []
    if options.send_initial_events is not None:
        return [Cause.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list")]
    if not match:
        return []
    if options.watch:
        return [Cause.forbidden(field, "resourceVersionMatch is forbidden for watch")]
    causes = []
    if options.resource_version == "":
        causes.append(Cause.forbidden(field, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
    if options.continue_:
        causes.append(Cause.forbidden(field, "resourceVersionMatch is forbidden when continue is provided"))
    if match not in {"Exact", "NotOlderThan"}:
        causes.append(Cause.unsupported(field, match, ("Exact", "NotOlderThan", "")))
    if match == "Exact" and options.resource_version == "0":
        why = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
        causes.append(Cause.forbidden(field, why))
    return causes


def selection(resource: Resource, namespace: str | None, options: ListOptions) -> Selection:
    """Which objects a request means. Raises the 400 of a selector that is none, or of a field that is unknown."""
    try:
        labels, fields = parse_labels(options.label_selector), parse_fields(options.field_selector)
    except SelectorError as error:
        raise errors.bad_request(str(error)) from error
    for requirement in fields.requirements:
        _require_known(resource, requirement.field)
    prefix = f"{namespace}/" if resource.kind.namespaced and namespace is not None else ""
    name = fields.exact("metadata.name")
    alone = name is not None and (not resource.kind.namespaced or namespace is not None)
    return Selection(prefix, f"{prefix}{name}" if alone else None, labels, fields)


def _require_known(resource: Resource, field: str) -> None:
    if field in resource.field_names or field == "metadata.name":
        return
    if field == "metadata.namespace" and resource.kind.namespaced:
        return
    if resource.strict_fields:
        raise errors.bad_request(f"field label not supported: {field}")
    raise errors.bad_request(
        f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"',
    )


def parse_revision(text: str) -> int:
    """Read a resourceVersion ("" is 0). Raises the 400 that upstream gives."""
    if text and not (text.isascii() and text.isdecimal()):
        why = f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
        raise errors.bad_request(why)
    return int(text or 0)


def _integer(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise errors.bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error


def flag(query: Mapping[str, str], name: str) -> bool:
    """Go's conversion of a query parameter: absent, ``0`` and ``false`` are false, anything else is true."""
    return query.get(name, "false").lower() not in {"false", "0"}

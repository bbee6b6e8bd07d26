"""From a request's path to what it is about, as upstream's RequestInfo resolver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ha.kube import errors
from ha.kube.kinds import NAMESPACE, Kind

__all__ = ["Route", "Router"]

_ALLOWED: Mapping[tuple[bool, str], frozenset[str]] = {
    (False, ""): frozenset({"GET", "POST", "DELETE"}),
    (True, ""): frozenset({"GET", "PUT", "PATCH", "DELETE"}),
    (True, "status"): frozenset({"GET", "PUT", "PATCH"}),
    (True, "scale"): frozenset({"GET", "PUT", "PATCH"}),
    (True, "binding"): frozenset({"POST"}),
    (True, "finalize"): frozenset({"PUT"}),
}


@dataclass(frozen=True, slots=True)
class Route:
    """A kind's collection (no name), an object, or a subresource of one. No namespace: all of them."""

    kind: Kind
    namespace: str | None
    name: str | None
    subresource: str = ""

    def require(self, method: str) -> None:
        """Raises the 405 of a method that this path does not have."""
        allowed = _ALLOWED.get((self.name is not None, self.subresource), frozenset())
        if not self.kind.storable:
            allowed = frozenset({"POST"})
        elif self.name is None and self.kind.namespaced and self.namespace is None:
            allowed = frozenset({"GET"})
        elif self.name is None and self.kind == NAMESPACE:
            allowed -= {"DELETE"}
        if method not in allowed:
            raise errors.method_not_allowed()


class Router:
    """Knows the kinds by their paths."""

    def __init__(self, kinds: list[Kind]) -> None:
        self._kinds = {(k.group, k.version, k.plural): k for k in kinds}
        self._versions = {(k.group, k.version) for k in kinds}

    def resolve(self, path: str) -> Route | None:
        """None: no API path at all. Raises the 404 of a resource that its group does not have."""
        match path.strip("/").split("/"):
            case ["api", version, *rest] if rest:
                group = ""
            case ["apis", group, version, *rest] if rest:
                pass
            case _:
                return None
        if (group, version) not in self._versions:
            return None
        route = self._route(group, version, rest)
        if route is None:
            raise errors.no_such_resource()
        return route

    def _route(self, group: str, version: str, rest: list[str]) -> Route | None:
        if rest[0] == "namespaces" and len(rest) >= 3 and rest[2] not in NAMESPACE.subresources:
            namespace: str | None = rest[1]
            rest = rest[2:]
        else:
            namespace = None
        kind = self._kinds.get((group, version, rest[0]))
        if kind is None or (namespace is not None and not kind.namespaced) or len(rest) > 3:
            return None
        name = rest[1] if len(rest) > 1 else None
        subresource = rest[2] if len(rest) > 2 else ""
        if name is not None and kind.namespaced and namespace is None:
            return None
        if subresource and subresource not in kind.subresources:
            return None
        return Route(kind, namespace, name, subresource)

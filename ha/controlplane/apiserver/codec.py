"""How an object is written to the store, and how it is answered without being parsed.

A stored value is the object's JSON with ``kind``, ``apiVersion`` and ``metadata`` first and without a
resourceVersion (that is the key's revision). So every stored value of a kind begins with the same bytes, its
*head*, and an answer is made by splicing: head, resourceVersion, rest. List items differ from single objects
only in the head (they carry no kind and no apiVersion, as upstream). Nothing is decoded unless somebody has to
look inside.
"""

from __future__ import annotations

from dataclasses import dataclass

import orjson

from ha.kube.kinds import Kind, Object

__all__ = ["Codec"]


@dataclass(frozen=True, slots=True)
class Codec:
    """Encoding of one kind."""

    kind: Kind
    head: bytes

    @classmethod
    def of(cls, kind: Kind) -> Codec:
        """The codec of a kind."""
        return cls(kind, b'{"kind":"%b","apiVersion":"%b","metadata":{' % (kind.kind.encode(), _api(kind)))

    def encode(self, obj: Object) -> bytes:
        """The stored form."""
        meta = {k: v for k, v in obj["metadata"].items() if k not in _NOT_STORED}
        assert meta, "a stored object has a name"
        body = {"kind": self.kind.kind, "apiVersion": self.kind.api_version, "metadata": meta}
        body.update((k, v) for k, v in obj.items() if k not in body)
        return orjson.dumps(body)

    def decode(self, raw: bytes, revision: int) -> Object:
        """The object, with its resourceVersion."""
        obj: Object = orjson.loads(raw)
        obj["metadata"]["resourceVersion"] = str(revision)
        return obj

    def canonical(self, raw: bytes) -> bytes:
        """A stored value as this server would have written it; others may have written it differently."""
        return raw if raw.startswith(self.head) else self.encode(orjson.loads(raw))

    def answer(self, raw: bytes, revision: int) -> bytes:
        """One object as it is sent, from its canonical stored form."""
        return b'%b"resourceVersion":"%d",%b' % (self.head, revision, raw[len(self.head) :])

    def item(self, raw: bytes, revision: int) -> bytes:
        """The same, as an item of a list."""
        return b'{"metadata":{"resourceVersion":"%d",%b' % (revision, raw[len(self.head) :])

    def list_of(self, items: list[bytes], revision: int, continue_: str = "", remaining: int | None = None) -> bytes:
        """The list of items made by `item`."""
        meta: Object = {"resourceVersion": str(revision)}
        if continue_:
            meta["continue"] = continue_
            if remaining is not None:
                meta["remainingItemCount"] = remaining
        head = b'{"kind":"%bList","apiVersion":"%b","metadata":%b,"items":[' % (
            self.kind.kind.encode(),
            _api(self.kind),
            orjson.dumps(meta),
        )
        return head + b",".join(items) + b"]}"


_NOT_STORED = frozenset({"resourceVersion", "selfLink", "managedFields"})


def _api(kind: Kind) -> bytes:
    return kind.api_version.encode()

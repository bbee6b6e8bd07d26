"""ConfigMaps and Secrets: data, possibly frozen by ``immutable``."""

from __future__ import annotations

import base64
import binascii
import re

from ha.controlplane.apiserver.resource import Fields, Resource
from ha.controlplane.apiserver.shape import BOOL, STRING, STRING_MAP
from ha.kube.errors import Cause
from ha.kube.kinds import CONFIG_MAP, SECRET, Object

__all__ = ["config_maps", "secrets"]

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_KEY_RULE = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  "
    "or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_BYTES_MAX = 1024 * 1024


def config_maps() -> Resource:
    """The declaration."""
    return Resource(
        kind=CONFIG_MAP,
        shape={"data": STRING_MAP, "binaryData": STRING_MAP, "immutable": BOOL},
        validate=lambda obj: _check_data(obj, ("data", "binaryData")),
        validate_update=lambda new, old: _check_immutable(new, old, ("data", "binaryData")),
    )


def secrets() -> Resource:
    """The declaration."""
    return Resource(
        kind=SECRET,
        shape={"data": STRING_MAP, "stringData": STRING_MAP, "type": STRING, "immutable": BOOL},
        default=_default_secret,
        validate=lambda obj: _check_data(obj, ("data",)) + _check_base64(obj),
        validate_update=_secret_update,
        fields=_secret_fields,
        field_names=frozenset({"type"}),
        strict_fields=True,
    )


def _check_data(obj: Object, fields: tuple[str, ...]) -> list[Cause]:
    causes = [
        Cause.invalid(f"{field}[{key}]", key, _KEY_RULE)
        for field in fields
        for key in obj.get(field) or {}
        if not _KEY.fullmatch(key)
    ]
    if sum(len(v) for field in fields for v in (obj.get(field) or {}).values()) > _BYTES_MAX:
        causes.append(Cause("", "FieldValueTooLong", f"Too long: must have at most {_BYTES_MAX} bytes"))
    return causes


def _check_immutable(new: Object, old: Object, fields: tuple[str, ...]) -> list[Cause]:
    if not old.get("immutable"):
        return []
    text = "field is immutable when `immutable` is set"
    causes = [] if new.get("immutable") else [Cause.forbidden("immutable", text)]
    return causes + [Cause.forbidden(f, text) for f in fields if (new.get(f) or {}) != (old.get(f) or {})]


def _default_secret(secret: Object) -> None:
    secret.setdefault("type", "Opaque")
    for key, text in (secret.pop("stringData", None) or {}).items():
        secret.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()


def _check_base64(secret: Object) -> list[Cause]:
    causes: list[Cause] = []
    for key, text in (secret.get("data") or {}).items():
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            causes.append(Cause.invalid(f"data[{key}]", "<secret contents redacted>", "must be base64"))
    return causes


def _secret_update(new: Object, old: Object) -> list[Cause]:
    causes = []
    if new["type"] != old.get("type"):
        causes.append(Cause.invalid("type", new["type"], "field is immutable"))
    return causes + _check_immutable(new, old, ("data",))


def _secret_fields(secret: Object) -> Fields:
    return {"type": secret.get("type", "")}

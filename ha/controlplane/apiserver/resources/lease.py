"""Leases: never updated without saying which state the update is based on."""

from __future__ import annotations

from ha.controlplane.apiserver.resource import Resource
from ha.controlplane.apiserver.shape import INT, STRING
from ha.kube.errors import Cause
from ha.kube.kinds import LEASE, Object

__all__ = ["leases"]


def leases() -> Resource:
    """The declaration."""
    return Resource(
        kind=LEASE,
        shape={
            "spec": {
                "holderIdentity": STRING,
                "leaseDurationSeconds": INT,
                "leaseTransitions": INT,
                "acquireTime": STRING,
                "renewTime": STRING,
            },
        },
        default=_default,
        validate=_validate,
        create_on_update=True,
        unconditional_update=False,
    )


def _default(lease: Object) -> None:
    lease.setdefault("spec", {})


def _validate(lease: Object) -> list[Cause]:
    spec = lease["spec"]
    causes: list[Cause] = []
    if (duration := spec.get("leaseDurationSeconds")) is not None and duration <= 0:
        causes.append(Cause.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
    if (transitions := spec.get("leaseTransitions")) is not None and transitions < 0:
        causes.append(Cause.invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return causes

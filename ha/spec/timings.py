"""The presets of ``timings``.

``upstream`` is `Timings` as declared: what Kubernetes, etcd and kind ship. ``fast`` divides all of that by
ten, so that a failover that takes a minute takes six seconds and a run fits into half a minute; every report
says so. One figure is not upstream's but the patience of our own workload clients, and a tenth of it would be
shorter than a loaded machine's ordinary hiccups: `client_timeout` is 1 s.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ha.spec.model import Timings

__all__ = ["FAST", "PRESETS", "UPSTREAM"]

UPSTREAM = Timings()


def _fast() -> Timings:
    names = [field.name for field in msgspec.structs.fields(Timings)]
    tenth = {name: round(getattr(UPSTREAM, name) / 10, 6) for name in names}
    return msgspec.structs.replace(Timings(**tenth), client_timeout=1.0)


FAST = _fast()

PRESETS: Mapping[str, Timings] = {"fast": FAST, "upstream": UPSTREAM}

"""What the server counts, in Prometheus' text format; names as kube-apiserver's where it has the same."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

__all__ = ["Metrics", "render"]

_BUCKETS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Counts of requests and their latencies."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[tuple[str, str], list[int]] = {}
        self._sums: dict[tuple[str, str], float] = {}

    def observe(self, verb: str, resource: str, code: int, duration_s: float) -> None:
        """Count one answered request. Watches are counted, and not timed."""
        self.requests[verb, resource, code] += 1
        if verb != "WATCH":
            buckets = self._buckets.setdefault((verb, resource), [0] * (len(_BUCKETS_S) + 1))
            buckets[bisect_left(_BUCKETS_S, duration_s)] += 1
            self._sums[verb, resource] = self._sums.get((verb, resource), 0.0) + duration_s

    def lines(self) -> Iterable[str]:
        """The samples."""
        yield "# TYPE apiserver_request_total counter"
        for (verb, resource, code), count in sorted(self.requests.items()):
            yield f'apiserver_request_total{{code="{code}",resource="{resource}",verb="{verb}"}} {count}'
        name = "apiserver_request_duration_seconds"
        yield f"# TYPE {name} histogram"
        for (verb, resource), buckets in sorted(self._buckets.items()):
            labels, total = f'resource="{resource}",verb="{verb}"', 0
            for bound, count in zip((*_BUCKETS_S, "+Inf"), buckets, strict=True):
                total += count
                yield f'{name}_bucket{{{labels},le="{bound}"}} {total}'
            yield f"{name}_sum{{{labels}}} {self._sums[verb, resource]:.6f}"
            yield f"{name}_count{{{labels}}} {total}"


def render(lines: Iterable[str]) -> bytes:
    """The body of ``/metrics``."""
    return ("\n".join(lines) + "\n").encode()

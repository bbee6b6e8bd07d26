"""The charts show what clients got while the load ran."""

from __future__ import annotations

import msgspec

from ha.history import Operation, PhaseEvent
from ha.report.charts import charts, table
from tests.unit.report.sample import sample


def test_the_burst_of_reading_back_is_not_drawn() -> None:
    """It comes at thousands a second, and would dwarf the load."""
    run = sample()
    (recovery_s,) = [e.at_s for e in run.events if isinstance(e, PhaseEvent) and e.phase == "recovery"]
    burst = [
        Operation(
            workload="create",
            client=0,
            type="read",
            key=f"k{i}",
            invoked_s=recovery_s + 0.01,
            completed_s=recovery_s + 0.02,
            outcome="ok",
        )
        for i in range(5000)
    ]
    with_burst = msgspec.structs.replace(run, operations=[*run.operations, *burst])
    throughput = charts(with_burst)["throughput"].series[0]
    assert max(value for value in throughput.values if value is not None) < 1000
    assert max(row.per_s["ok"] for row in table(with_burst)) < 1000

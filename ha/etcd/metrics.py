"""What a member says of itself to Prometheus, under etcd's own names."""

from __future__ import annotations

from ha.etcd.service import EtcdService

__all__ = ["render_metrics"]


def render_metrics(service: EtcdService, *, watchers: int) -> str:
    """The text exposition format, version 0.0.4."""
    status, store, leases = service.status, service.machine.store, service.machine.leases
    gauges = {
        "etcd_server_has_leader": int(status.leader is not None),
        "etcd_server_is_leader": int(status.role == "leader"),
        "etcd_server_proposals_committed_total": status.commit_index,
        "etcd_server_proposals_applied_total": status.applied_index,
        "etcd_server_proposals_pending": service.proposals_pending,
        "etcd_mvcc_db_total_size_in_bytes": store.size_bytes,
        "etcd_mvcc_db_total_size_in_use_in_bytes": store.size_bytes,
        "etcd_debugging_mvcc_keys_total": store.keys_total,
        "etcd_debugging_mvcc_current_revision": store.revision,
        "etcd_debugging_mvcc_compact_revision": store.compact_revision,
        "etcd_debugging_mvcc_watcher_total": watchers,
        "etcd_debugging_lease_total": len(leases.ttls_s),
        "ha_raft_term": status.term,
        "ha_raft_peers_connected": status.peers_connected,
    }
    counters = {
        "etcd_server_leader_changes_seen_total": service.leader_changes,
        "etcd_server_proposals_failed_total": service.proposals_failed,
    }
    lines = [f"# TYPE {name} gauge\n{name} {value}" for name, value in gauges.items()]
    lines += [f"# TYPE {name} counter\n{name} {value}" for name, value in counters.items()]
    return "\n".join(lines) + "\n"

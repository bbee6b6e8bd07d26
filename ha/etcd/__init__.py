"""The store: etcd v3's data model and API on a replicated log, and a client of it.

Read in this order: `api` (the nouns) and `errors`; the state machine, sans-IO: `mvcc` (keys and their history),
`leases`, `txn`, `commands` (what the log holds), `machine` (all of it behind `ha.raft.StateMachine`); what happens
beside the log: `watch` (who is told what), `lessor` (the leader counts leases); the member: `service` (the API over
consensus), `wire` and `streams` (its JSON), `gateway` (HTTP), `metrics`, `identity`, `member` (the process). The
client: `client`, `endpoints` (whom to ask), `client_watch`, `answers` (its JSON).
"""

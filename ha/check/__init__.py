"""Judges: from what was observed to what it proves. Nothing here knows the components that it judges.

* `judgement`: the verdict on anybody's history, by whichever of these apply.
* `linearizability`: is there one order of all operations that explains every answer? Where answers tell revisions
  `order` decides by arithmetic on columns (`said`, `binding`, `chains`, `realtime`, `matching`); what unknown outcomes
  leave open is searched (`undecided`). Where they tell values alone, `values` searches key by key (`registers`).
* `search`: the one search engine, on histories as `timeline` prepares them.
* `counterexample`: the few operations that show a violation (`shrink`; `relaxed_calls`, `relaxed_operations`).
* `durability`: is everything that was acknowledged still there?
* `store_model` (with `store_facts`): does every answer of the store itself fit what etcd promises?
* `leases`: did leases and their keys live as long as was promised, and no longer?
* `locks`: was any lock held by two, or written under after another had taken it?
* `leaders`: did two members lead in one term?   `convergence`: do all hold the same in the end?
* `watch_guarantees`: were watchers told everything, in order and once (measured by `watched`)?
* `watch_cache`: did every API server's cache catch up?   `pods`: bound once, replaced, all there in the end?
* `takeovers`: did a component's Lease change hands while its holder might still act?
* `availability`, `recovery`: how long did it not work, and what did the time go into?
* `load`: did the clients keep asking?
* `exits`: did anything end that nobody hit?
* `summary`, `series`: figures for reports.
* `claims`, `verdict`: expectation against measurement, and the sentence that follows.
"""

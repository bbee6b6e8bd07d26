"""Judges: from what was observed to what it proves. Nothing here knows the components that it judges.

* `linearizability`: is there one order of all operations that explains every answer?
* `durability`: is everything that was acknowledged still there?
* `store_model` (with `store_facts`): does every answer of the store itself fit what etcd promises?
* `availability`, `recovery`: how long did it not work, and what did the time go into?
* `load`: did the clients keep asking?
* `exits`: did anything end that nobody hit?
* `summary`, `series`: figures for reports.
* `claims`, `verdict`: expectation against measurement, and the sentence that follows.
"""

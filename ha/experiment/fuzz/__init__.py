"""Searches fault schedules for one that breaks something: draw a case from a seed, run it, judge it, shrink it.

Read in this order: `cases` (what a case is made of: `shapes`, `schedules`), `drawing` (a case from a seed, by
Hypothesis), `trial` (run, judge, shrink), `search` (many seeds), `workers` and `dask` (by whom), `repro`.
"""

"""Shows a result: in the terminal, as JUnit XML, as a self-contained page, and as the files of a run directory.

* `terminal` and `progress`: rich renderables and a live display; the caller owns the console.
* `junit`, `html`: from a `Run` to bytes and text.
* `directory`: writes the files of a run directory and reads one back.

Nothing here judges: whatever a report says stands in the result or is counted from the history.
"""

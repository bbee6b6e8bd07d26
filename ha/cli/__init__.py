"""The command line: the only place that knows argv, stdout, stderr and exit codes."""

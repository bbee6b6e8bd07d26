"""A highly available cluster on one machine, a failure, and a checked verdict."""

__version__ = "0.1.0"

"""A file and a seed in, a `Result` out. The only place where worlds, clusters, faults, clients and checks meet."""

"""In-memory implementations of the production protocols, for tests in virtual time."""

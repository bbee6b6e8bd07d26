from ha.node.proxy.affinity import Affinity
from ha.world import Address

A, B = Address("10.64.1.1", 80), Address("10.64.1.2", 80)


def test_a_client_keeps_its_endpoint_until_it_was_quiet_for_the_timeout() -> None:
    affinity = Affinity()
    affinity.note("x", A, 0.0, 10.0)
    assert affinity.endpoint("x", 10.0, 10.0) == A
    assert affinity.endpoint("x", 10.1, 10.0) is None
    assert affinity.endpoint("y", 0.0, 10.0) is None


def test_each_connection_makes_it_last_longer() -> None:
    affinity = Affinity()
    for now_s in (0.0, 8.0, 16.0):
        affinity.note("x", A, now_s, 10.0)
    assert affinity.endpoint("x", 25.0, 10.0) == A


def test_the_last_endpoint_counts() -> None:
    affinity = Affinity()
    affinity.note("x", A, 0.0, 10.0)
    affinity.note("x", B, 1.0, 10.0)
    assert affinity.endpoint("x", 2.0, 10.0) == B


def test_clients_that_are_quiet_for_too_long_are_forgotten() -> None:
    affinity = Affinity()
    for i in range(100):
        affinity.note(f"x{i}", A, float(i), 10.0)
    assert len(affinity) == 11

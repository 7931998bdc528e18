"""When a sidecar's time is over."""

from transferqueue._meeting import GROUP, OWNER, SERVICE
from transferqueue.server.lifetime import GRACE_S, Lifetime


def test_an_owned_sidecar_ends_with_its_owner_whoever_is_attached():
    lifetime = Lifetime(OWNER)
    lifetime.attach(1)
    lifetime.leave(1)
    assert lifetime.why_over(0) is None
    lifetime.attach(2)
    lifetime.end_starter(5)
    assert lifetime.why_over(5) is not None


def test_a_groups_sidecar_ends_with_the_last_attachment():
    lifetime = Lifetime(GROUP)
    assert lifetime.why_over(1000) is None
    lifetime.attach(1)
    lifetime.attach(2)
    lifetime.end_starter(5)
    lifetime.leave(1)
    lifetime.leave(1)
    assert lifetime.why_over(1000) is None
    assert lifetime.attached == 1
    lifetime.leave(2)
    assert lifetime.why_over(1000) is not None


def test_a_group_has_some_time_to_come_when_its_starter_died_before_it_attached():
    lifetime = Lifetime(GROUP)
    lifetime.end_starter(5)
    assert lifetime.deadline() == 5 + GRACE_S
    assert lifetime.why_over(5 + GRACE_S / 2) is None
    lifetime.attach(1)
    assert lifetime.deadline() is None
    assert lifetime.why_over(5 + 2 * GRACE_S) is None

    alone = Lifetime(GROUP)
    alone.end_starter(5)
    assert alone.why_over(5 + GRACE_S) is not None


def test_a_service_never_ends_by_itself():
    lifetime = Lifetime(SERVICE)
    lifetime.attach(1)
    lifetime.leave(1)
    lifetime.end_starter(0)
    assert lifetime.why_over(1e9) is None

"""Who has more connections than another process of the API."""

from api.crowd import Crowd


def test_only_who_has_fewer_is_left_a_connection() -> None:
    crowd = Crowd(2)
    one, other = crowd.enter(), crowd.enter()
    assert not one.has_more_than_another()
    one.add(2)
    other.add(1)
    assert one.has_more_than_another()
    assert not other.has_more_than_another()
    one.add(-1)
    assert not one.has_more_than_another()


def test_nothing_is_left_to_a_process_that_has_ended_and_its_place_is_given_again() -> None:
    crowd = Crowd(2)
    one, other = crowd.enter(), crowd.enter()
    one.add(1)
    other.leave()
    assert not one.has_more_than_another()
    crowd.enter().add(1)
    assert not one.has_more_than_another()


def test_a_process_without_a_place_compares_itself_with_nobody() -> None:
    crowd = Crowd(1)
    crowd.enter()
    surplus = crowd.enter()
    surplus.add(5)
    assert not surplus.has_more_than_another()
    surplus.leave()

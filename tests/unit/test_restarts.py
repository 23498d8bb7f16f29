"""When what died is started again."""

from services.supervisor.restarts import LONGEST_PAUSE_SECONDS, WINDOW_SECONDS, Restarts


def test_a_process_that_worked_for_long_is_started_again_soon_however_often():
    restarts = Restarts(100)
    assert {restarts.pause(now=100.0 * n, age=99.0) for n in range(50)} == {0.5}


def test_a_process_that_dies_young_is_started_later_and_later():
    restarts = Restarts(100)
    pauses = [restarts.pause(now=float(n), age=1.0) for n in range(12)]
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_too_many_deaths_in_ten_minutes_are_the_end():
    restarts = Restarts(3)
    assert [restarts.pause(now=float(n), age=99.0) for n in range(4)] == [0.5, 0.5, 0.5, None]


def test_deaths_of_long_ago_are_forgotten():
    restarts = Restarts(1)
    assert restarts.pause(now=0.0, age=99.0) == 0.5
    assert restarts.pause(now=WINDOW_SECONDS + 1.0, age=99.0) == 0.5
    assert restarts.count == 1


def test_a_long_life_ends_a_row_of_short_ones():
    restarts = Restarts(100)
    assert [restarts.pause(now=1.0, age=a) for a in (1.0, 1.0, 99.0, 1.0)] == [0.5, 1.0, 0.5, 0.5]

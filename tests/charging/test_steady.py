"""A limit that flaps never rises; one that falls does so at once."""

from hypothesis import given
from hypothesis import strategies as st

from agent.charging.steady import SECONDS, Steady


def test_what_flaps_at_50_hz_stays_at_its_lowest() -> None:
    one = Steady()
    assert {one.step(24.0 if step % 2 else 10.0, step / 50) for step in range(500)} == {10.0}


def test_more_counts_once_it_has_stood_and_less_at_once() -> None:
    one = Steady()
    assert one.step(32.0, 0) == 32.0
    assert one.step(10.0, 1) == 10.0
    assert (one.step(16.0, 2), one.due()) == (10.0, 2 + SECONDS)
    assert (one.step(16.0, 2 + SECONDS), one.due()) == (16.0, None)
    assert one.step(0.0, 3) == 0.0


@given(st.lists(st.tuples(st.floats(0, 0.5), st.sampled_from([0.0, 6.0, 8.0, 16.0, 32.0])), min_size=1))
def test_it_is_the_lowest_of_the_time_before(steps: list[tuple[float, float]]) -> None:
    one, now = Steady(), 0.0
    said: list[tuple[float, float]] = []
    for wait, amps in steps:
        now += wait
        counts = one.step(amps, now)
        said.append((now, amps))
        ends = [time for time, _ in said[1:]] + [float("inf")]
        assert counts == min(value for (_, value), end in zip(said, ends, strict=True) if end + SECONDS > now)

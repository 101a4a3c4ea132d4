from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.journal import days
from engine.contract import OnehourError

pytestmark = pytest.mark.unit

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Casablanca",
]
STARTS = ["00:00", "02:30", "04:00", "23:30"]
MOMENTS = st.integers(
    min_value=days.to_ms(datetime(2020, 1, 1, tzinfo=UTC)), max_value=days.to_ms(datetime(2030, 1, 1, tzinfo=UTC))
)


def at(text: str, zone: str) -> int:
    return days.to_ms(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)))


@given(MOMENTS, st.sampled_from(ZONES), st.sampled_from(STARTS))
def test_every_moment_lies_in_the_bounds_of_exactly_its_day(moment: int, zone: str, starts: str) -> None:
    on = days.logical_date(moment, zone, starts)
    assert days.day_starts(on, zone, starts) <= moment < days.day_ends(on, zone, starts)


@given(MOMENTS, st.integers(0, 86_400_000), st.sampled_from(ZONES), st.sampled_from(STARTS))
def test_later_moments_never_belong_to_an_earlier_day(moment: int, more: int, zone: str, starts: str) -> None:
    assert days.logical_date(moment, zone, starts) <= days.logical_date(moment + more, zone, starts)


def test_an_hour_after_midnight_belongs_to_the_evening_before() -> None:
    assert days.logical_date(at("2026-03-03 00:40", "Europe/Berlin"), "Europe/Berlin", "04:00") == date(2026, 3, 2)
    assert days.logical_date(at("2026-03-03 04:00", "Europe/Berlin"), "Europe/Berlin", "04:00") == date(2026, 3, 3)


@pytest.mark.parametrize(("on", "hours"), [(date(2026, 3, 28), 23), (date(2026, 10, 24), 25), (date(2026, 6, 1), 24)])
def test_a_day_has_23_or_25_hours_when_the_clocks_change(on: date, hours: int) -> None:
    length = days.day_ends(on, "Europe/Berlin", "04:00") - days.day_starts(on, "Europe/Berlin", "04:00")
    assert length == hours * 3_600_000


def test_a_start_inside_the_daylight_saving_gap_still_gives_one_day_each() -> None:
    gap_start = days.day_starts(date(2026, 3, 29), "Europe/Berlin", "02:30")
    assert days.logical_date(gap_start - 1, "Europe/Berlin", "02:30") == date(2026, 3, 28)
    assert days.logical_date(gap_start, "Europe/Berlin", "02:30") == date(2026, 3, 29)


def test_the_29th_of_february_is_a_day_of_the_challenge() -> None:
    assert days.day_number(date(2028, 3, 1), date(2028, 2, 28)) == 3
    assert days.logical_date(at("2028-02-29 20:00", "Asia/Tokyo"), "Asia/Tokyo", "04:00") == date(2028, 2, 29)


def test_weeks_are_counted_from_the_first_day_of_the_challenge() -> None:
    first = date(2026, 3, 4)
    assert days.week_starts(first + timedelta(days=6), first) == first
    assert days.week_starts(first + timedelta(days=7), first) == first + timedelta(days=7)


def test_an_unknown_zone_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(OnehourError, match="Europe/Berlin"):
        days.zone("Europe/Berlinn")


def test_a_time_of_day_that_is_none_is_refused() -> None:
    with pytest.raises(OnehourError, match="HH:MM"):
        days.clock_time("4 o'clock")

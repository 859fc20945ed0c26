"""Computes with dates and time zones."""
# kind: function
# args: ("2024-02-28",)
# expected: ["2024-03-01", 3, "2024-02-28T05:00:00+00:00"]

import datetime as dt


def f(x):
    day = dt.date.fromisoformat(x)
    zone = dt.timezone(dt.timedelta(hours=-5))
    noon = dt.datetime.combine(day, dt.time(0), zone).astimezone(dt.timezone.utc)
    return [(day + dt.timedelta(days=2)).isoformat(), day.isoweekday(), noon.isoformat()]

# SPDX-License-Identifier: Apache-2.0
"""How demand differs from hour to hour and from day to day: an assumption, in the shape of New York's taxis.

What is published and kept here: of all hours, most trips begin between 19:00 and 20:00 and fewest between
5:00 and 6:00, 0.148 times as many (28,916 and 4,271 pickups of yellow taxis in Manhattan, counted by
N. Hawley from records of the New York City Taxi and Limousine Commission, https://nmhawley.github.io/project-d).
The hours between them, the weekend's later nights, and the days' differences of some per cent are assumed.
"""

from typing import Final

_HOUR_MS: Final = 3_600_000
_DAYS: Final = 7
_EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday; Monday is 0."""
_WEEKDAY: Final = (
    *(62, 40, 28, 20, 18, 20, 58, 98, 118, 115, 106, 107),
    *(112, 112, 117, 110, 95, 118, 146, 150, 142, 138, 125, 97),
)
"""(24,) of Monday to Friday, in parts that only compare with each other. The dip at 16:00 is the change of
shifts."""
_WEEKEND: Final = (
    *(125, 115, 100, 78, 50, 25, 28, 40, 58, 80, 98, 110),
    *(118, 118, 120, 120, 112, 122, 136, 136, 125, 122, 128, 130),
)
"""(24,) of Saturday and Sunday."""
_DAY: Final = (95, 98, 100, 102, 104, 104, 97)
"""(7,) Monday … Sunday."""
_PARTS: Final = tuple(
    part * of_day for day, of_day in enumerate(_DAY) for part in (_WEEKDAY if day < 5 else _WEEKEND)
)
FACTORS: Final = tuple(part * len(_PARTS) / sum(_PARTS) for part in _PARTS)
"""(168,) demand of each hour of the week, of the week's mean; Monday's first hour first."""


def factor_at(city_ms: int, utc_offset_h: int) -> float:
    """How high demand is at a time, of the mean of a week.

    Args:
        city_ms: City time, epoch milliseconds.
        utc_offset_h: The city's (`CityInfo.utc_offset_h`).
    """
    hours = city_ms // _HOUR_MS + utc_offset_h
    return FACTORS[(hours + _EPOCH_WEEKDAY * 24) % (_DAYS * 24)]

"""Kaggle's rule of medals: how many of a competition's teams get which, by their number. Percentages round down."""

from __future__ import annotations

from dataclasses import dataclass

from engine.contract import OnehourError


@dataclass(frozen=True)
class MedalRanks:
    """The last rank of each medal, from 1; 0 where no team gets it. A better medal's ranks are among a lesser one's."""

    teams: int
    gold: int
    silver: int
    bronze: int

    def of(self, rank: int) -> str | None:
        """`gold`, `silver`, `bronze`, or None."""
        for name, last in self.lines():
            if rank <= last:
                return name
        return None

    def lines(self) -> tuple[tuple[str, int], ...]:
        return ("gold", self.gold), ("silver", self.silver), ("bronze", self.bronze)


def ranks(teams: int) -> MedalRanks:
    """Of a competition that awards medals. Community, playground and getting-started competitions award none."""
    if teams < 0:
        raise OnehourError(f"{teams} teams are not possible")
    if teams < 100:
        last = teams * 10 // 100, teams * 20 // 100, teams * 40 // 100
    elif teams < 250:
        last = 10, teams * 20 // 100, teams * 40 // 100
    elif teams < 1000:
        last = 10 + teams * 2 // 1000, 50, 100
    else:
        last = 10 + teams * 2 // 1000, teams * 5 // 100, teams * 10 // 100
    return MedalRanks(teams, *last)

"""When the agent is killed: counts how often it came to each place, and raises SimCrash where the schedule says so.

In: places and moments as the wire, the disk and the clock come to them. Out: SimCrash, and which crash it was.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.campaign.faults.faults import SimCrash
from tests.campaign.world.schedule import Crash
from tests.campaign.world.trace import Trace
from tests.campaign.world.venue import Moment

QUICK = Crash("call", "before", 0, 1.0)
IN_FLIGHT = Crash("order_call", "after", 0, 2.0)


@dataclass
class Crashes:
    """The crashes of one schedule. `quick` lives end at their first request (P11).

    `loses_logs`: the life ends with its next order in flight, and its logs will be gone (D11).
    """

    planned: tuple[Crash, ...]
    moment: Moment
    trace: Trace
    quick: int = 0
    loses_logs: bool = False
    last: Crash = QUICK
    _visits: Counter[str] = field(default_factory=Counter)

    def check(self, place: str, moment: str) -> None:
        """Raise SimCrash where this is the place, the moment and the time."""
        if self.moment.is_healthy:
            return
        if place == "damage":  # the machine went down, and the file system was not whole afterwards
            self._die(Crash(place, moment, 0, 60.0), place)
        if moment == "before":
            self._visits[place] += 1
        if self.loses_logs and (place, moment) == (IN_FLIGHT.place, IN_FLIGHT.moment):
            self._die(IN_FLIGHT, f"{place}:{moment}")
        for crash in self.planned:
            if (crash.place, crash.moment, crash.nth) == (place, moment, self._visits[place]):
                self._die(crash, f"{place}:{moment}")

    def on_request(self) -> None:
        if self.quick > 0 and not self.moment.is_healthy:
            self.quick -= 1
            self.trace.fired[("P11", "start")] = self.trace.fired.get(("P11", "start"), 0) + 1
            self._die(QUICK, "quick")

    def _die(self, crash: Crash, site: str) -> None:
        self.last = crash
        if site != "quick":
            self.trace.fired[("P01", site)] = self.trace.fired.get(("P01", site), 0) + 1
        if self.moment.action.startswith("ROLL"):
            self.trace.reached.add("killed in a roll")
        raise SimCrash(site)

# SPDX-License-Identifier: Apache-2.0
"""A city on a small scale: streets, people and limits so small that a minute shows everything."""

from functools import cache
from pathlib import Path

from dispatcher.core import DecisionConfig
from dispatcher.limits import DecisionLimits
from dispatcher.policies.tuning import Tuning
from simulator.settings import CityBehavior as PeopleBehavior
from taxi.bus.memory.bus import MemoryLimits
from taxi.roads.grid import grid_city
from taxi.roads.network import RoadNetwork, TripDemand

CITY = "grid"
EXPIRY_MS = 8_000
DRAIN_PER_S = 2
COMMANDS_MAX = 40
"""Commands in a batch."""
DECIDE_S = 0.01
"""What it costs to decide one record of a batch and to prepare its transaction."""
BUS_LIMITS = MemoryLimits(
    give_up_s=3.0, request_s=0.8, end_transaction_s=0.5, transaction_s=6.0, session_s=3.0, heartbeat_s=0.7
)
CITY_LIMITS = DecisionLimits(
    policy_interval_ms=1_000,
    offer_timeout_ms=3_000,
    refuse_ms=1_500,
    patience_ms=12_000,
    no_show_ms=5_000,
    lost_ms=4_000,
    lost_on_trip_ms=9_000,
)
TUNING = Tuning(
    ageing_ms_per_s=250,
    rematch_interval_ms=2_000,
    rematch_left_ms_min=2_000,
    swap_price_ms=500,
    ahead_ms=4_000,
    ahead_price_ms=500,
    ahead_late_ms_max=2_000,
    reposition_interval_ms=4_000,
    reposition_horizon_ms=10_000,
    reposition_drive_ms_max=20_000,
    reposition_slack_ms=2_000,
)
DECISION_CONFIG = DecisionConfig(limits=CITY_LIMITS, tuning=TUNING)
PEOPLE = PeopleBehavior(
    requests_per_driver_s=0.08,
    accept_share=0.8,
    decline_share=0.1,
    answer_s=(0.2, 1.0),
    refuse_share=0.15,
    refuse_s=(0.2, 1.6),
    board_s=(0.5, 1.5),
    alight_s=(0.3, 1.0),
    no_show_share=0.05,
    no_show_s=5.0,
    impatient_share=0.1,
    patience_s=(2.0, 8.0),
    break_share=0.3,
    break_s=(3.0, 8.0),
    hour_s=60.0,
    park_s=(1.0, 4.0),
    resend_s=2.0,
    look_back_s=8.0,
)
SECOND_CITY = "hill"
SCENARIOS_DIR = Path(__file__).parent / "scenarios"
CITIES = f"{CITY},{SECOND_CITY}={CITY}"


@cache
def city(name: str = CITY) -> tuple[RoadNetwork, TripDemand]:
    """Squared paper: a block takes two seconds."""
    roads = grid_city(4, 4, block_m=60.0, speed_mps=30.0, name=name)
    return roads, TripDemand.uniform(roads.n_nodes)

"""The token bucket in front of every publish."""

import pytest

from py_esp_ota.rainmaker.budget import Budget
from py_esp_ota.sdkconfig import Sdkconfig


def taken(budget: Budget, now: float) -> int:
    count = 0
    while budget.take(now):
        count += 1
    return count


def test_it_starts_with_a_hundred_and_gains_one_each_five_seconds():
    budget = Budget(Sdkconfig())
    budget.start(1000.0)
    assert taken(budget, 1000.0) == 100
    assert taken(budget, 1004.9) == 0
    assert taken(budget, 1005.0) == 1
    assert taken(budget, 1014.0) == 1
    assert taken(budget, 1015.0) == 1  # the part of a period that had passed was not lost


def test_it_never_holds_more_than_its_maximum():
    budget = Budget(Sdkconfig())
    budget.start(0.0)
    assert budget.left(1e6) == 1024


def test_it_does_not_fill_before_the_first_connect_call():
    budget = Budget(Sdkconfig(esp_rmaker_mqtt_default_budget=64))
    assert budget.left(1e6) == 64
    budget.start(1e6)
    budget.start(0.0)  # a reconnect does not start it again
    assert budget.left(1e6 + 5) == 65


@pytest.mark.parametrize(("count", "period", "after"), [(16, 5, 32), (1, 600, 0), (3, 10, 3)])
def test_refill_options(count, period, after):
    config = Sdkconfig(
        esp_rmaker_mqtt_default_budget=0,
        esp_rmaker_mqtt_budget_revive_count=count,
        esp_rmaker_mqtt_budget_revive_period=period,
    )
    budget = Budget(config)
    budget.start(0.0)
    assert budget.left(10.0) == after


def test_without_budgeting_everything_passes():
    budget = Budget(Sdkconfig(esp_rmaker_mqtt_enable_budgeting=False, esp_rmaker_mqtt_default_budget=0))
    assert all(budget.take(0.0) for _ in range(2000))

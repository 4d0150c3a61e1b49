"""The weather of a campaign: its words, and who meets what."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rehearsal_bench import lamps

from py_esp_ota.rehearsal.climate import CLIMATES, climate_of, conditions, deal, met, weather_of

MANY = lamps(1000)


@pytest.mark.parametrize("name", CLIMATES)
def test_each_climate_has_its_name_and_its_shares(name):
    climate = climate_of(name)
    assert climate is CLIMATES[name]
    fates = deal(climate, MANY, 0)
    counts = Counter(met(fate.plan) for fate in fates.values())
    assert {line.plan: line.share * 10 for line in climate.lines} == {plan: n for plan, n in counts.items() if plan}
    assert len(conditions(climate)) == len(climate.lines) + 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("home-wify", "; climates are fine, home-wifi, bad-day, bad-image, power-cuts"),
        ("5% nonsense@1", "weather: "),
        ("60% app-no; 50% app-silent", "weather: its shares make 110 %, more than all devices"),
        ("101% app-no", "101 % is more than all"),
        ("speed 9-1", "the lower speed first"),
        ("never 200%", "200 % is more than all"),
        ("5% app-no;" * 51, "weather: at most 50 parts, not 51"),
        ("x" * 2001, "weather: at most 2000 characters, not 2001"),
    ],
)
def test_weather_that_is_none_is_refused_with_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=r".") as said:
        climate_of(text)
    assert sentence in str(said.value)


def test_parts_change_a_climate_that_has_a_name():
    climate = climate_of("home-wifi; speed 500; back 2d # slow\nnever 7.5%; 1% app-no")
    home = CLIMATES["home-wifi"]
    assert climate == replace(
        home, name="", sentence="", speed=(500, 500), back=172_800, never=7.5, lines=climate.lines
    )
    assert climate.lines[:-1] == home.lines


def test_a_node_meets_the_same_whoever_else_is_there():
    climate = climate_of("speed 1000-9000; back 9h")
    assert deal(climate, MANY, 5)["lamp-007"] == deal(climate, MANY[:100], 5)["lamp-007"]
    assert deal(climate, MANY, 5)["lamp-007"] != deal(climate, MANY, 6)["lamp-007"]


def test_those_who_are_offline_come_back_in_time_or_never():
    away = lamps(200, online=False)
    fates = deal(climate_of("back 3h; never 10%"), away, 1).values()
    assert sum(not fate.comes for fate in fates) == 20
    assert all(0 <= fate.boots < 3 * 3600 for fate in fates)
    assert max(fate.boots for fate in fates) > 2.5 * 3600


_PARTS = st.sampled_from(["speed 0", "speed 300-70000", "power 2h", "power 90s", "back 3d", "never 20%"])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([*CLIMATES, "20% app-no", "cut@9:torn"]), st.lists(_PARTS, max_size=3), st.integers(0, 2**32 - 1)
)
def test_weather_for_one_brings_it_the_same_fate(name, parts, seed):
    """All but when one that was away comes back, which a replay line says besides."""
    copies = lamps(20)
    climate = climate_of("; ".join([name, *parts]))
    for node_id, fate in deal(climate, copies, seed).items():
        assert deal(climate_of(weather_of(fate, climate)), copies, seed)[node_id] == fate


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_text_is_weather_or_refused(text):
    try:
        sentences = conditions(climate_of(text))
    except ValueError as error:
        sentences = [str(error)]
    assert all(sentences)

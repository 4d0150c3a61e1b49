"""How fast Hypothesis draws what testers search with."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test

from benchmarks.timing import Figure, once
from py_esp_ota.strategies import DeviceMachine, images

_PLAIN = {"database": None, "derandomize": True, "phases": [Phase.generate], "deadline": None}
_IMAGES, _STEPS = 1000, 1000


def drawn_images() -> Figure:
    """Valid app images of every chip, as a test draws them."""
    drawn: list[int] = []

    @settings(max_examples=_IMAGES, suppress_health_check=list(HealthCheck), **_PLAIN)
    @given(images())
    def draw(image: bytes) -> None:
        drawn.append(len(image))

    seconds = once(draw) * _IMAGES / len(drawn)
    return Figure("1,000 valid images drawn", seconds, None, None, "below 1 s", seconds < 1)


def machine_steps() -> Figure:
    """Steps of a device that is used at random, its promises looked at after each."""
    steps: list[None] = []

    class Counted(DeviceMachine):
        def check_invariants(self, *args: object, **options: object) -> None:
            steps.append(None)
            super().check_invariants(*args, **options)

    plain = settings(max_examples=40, stateful_step_count=50, **_PLAIN)
    seconds = once(lambda: run_state_machine_as_test(Counted, settings=plain)) * _STEPS / len(steps)
    return Figure("1,000 steps of DeviceMachine", seconds, None, None, "below 5 s", seconds < 5)

"""How fast Hypothesis draws what testers search with."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from hypothesis.strategies import binary

from benchmarks.timing import Figure, once
from py_esp_ota.strategies import DeviceMachine, images

_PLAIN = {"database": None, "derandomize": True, "phases": [Phase.generate], "deadline": None}
_IMAGES, _STEPS = 1000, 1000
_SEARCH = settings(max_examples=_IMAGES, suppress_health_check=list(HealthCheck), **_PLAIN)


def drawn_images() -> Figure:
    """Valid app images of every chip, as a test draws them; the peer draws as many strings of as many random bytes."""
    drawn: list[int] = []

    @_SEARCH
    @given(images())
    def draw(image: bytes) -> None:
        drawn.append(len(image))

    ours = once(draw) * _IMAGES / len(drawn)
    strings: list[int] = []

    @_SEARCH
    @given(binary(min_size=sum(drawn) // len(drawn), max_size=sum(drawn) // len(drawn)))
    def noise(data: bytes) -> None:
        strings.append(len(data))

    peer = once(noise) * _IMAGES / len(strings)
    return Figure("1,000 valid images drawn", ours, "drawing as many random bytes", peer, 4)


def machine_steps() -> Figure:
    """Steps of a device that is used at random, its promises looked at after each; the peer's steps do nothing."""

    class Nothing(RuleBasedStateMachine):
        @rule()
        def nothing(self) -> None: ...

    ours, peer = _step(DeviceMachine), _step(Nothing)
    return Figure("1,000 steps of DeviceMachine", ours, "Hypothesis's own steps", peer, 6)


def _step(machine: type[RuleBasedStateMachine]) -> float:
    """Seconds of 1,000 steps."""
    steps: list[None] = []

    class Counted(machine):  # type: ignore[misc,valid-type]
        def check_invariants(self, *args: object, **options: object) -> None:
            steps.append(None)
            super().check_invariants(*args, **options)

    plain = settings(max_examples=40, stateful_step_count=50, **_PLAIN)
    return once(lambda: run_state_machine_as_test(Counted, settings=plain)) * _STEPS / len(steps)

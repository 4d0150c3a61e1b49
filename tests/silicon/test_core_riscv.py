"""Random programs on our RISC-V core and on Unicorn, instruction by instruction; ``make conformance-cpu`` runs many."""

from __future__ import annotations

import pickle
from dataclasses import replace

import core_beside_unicorn
import pytest
from core_beside_unicorn import Disagreement, Ours, compare

PROGRAMS = 800


def test_both_do_the_same_with_every_instruction():
    assert compare("1", range(PROGRAMS)) == PROGRAMS


def test_a_core_that_is_wrong_is_told_with_its_program(monkeypatch):
    right = Ours.go
    monkeypatch.setattr(Ours, "go", lambda core, pc, count: replace(right(core, pc, count), csrs=(1, 2, 3)))
    with pytest.raises(Disagreement, match=r"^seed 1, program 7 at 0x[0-9a-f]{8}, 0x[0-9a-f]{8}: \['csrs'\]") as found:
        core_beside_unicorn.compare("1", range(7, 9))
    assert pickle.loads(pickle.dumps(found.value)).args == found.value.args  # as it comes from a worker

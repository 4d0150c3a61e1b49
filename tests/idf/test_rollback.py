"""The table of otadata states, rule by rule."""

import pytest

from py_esp_ota._core import OtaSelectEntry
from py_esp_ota.idf import rollback
from py_esp_ota.idf.rollback import OtaImgState, Rewrite

UNKNOWN = 0x77
STATES = [*OtaImgState, UNKNOWN]
BLANK = OtaSelectEntry.from_bytes(b"\xff" * 32)


def entry(seq, state, **kwargs):
    return OtaSelectEntry(seq, state, **kwargs)


def bytes_of(rewrite):
    return rewrite.index, rewrite.entry.to_bytes()


def test_states_have_upstreams_numbers():
    assert {state.name: state.value for state in OtaImgState} == {
        "NEW": 0,
        "PENDING_VERIFY": 1,
        "VALID": 2,
        "INVALID": 3,
        "ABORTED": 4,
        "UNDEFINED": 0xFFFFFFFF,
    }


@pytest.mark.parametrize("state", STATES)
def test_only_pending_entries_are_aborted_before_the_choice(state):
    rewrites = rollback.unconfirmed((entry(1, state), entry(2, OtaImgState.VALID)))
    assert bool(rewrites) == (state == OtaImgState.PENDING_VERIFY)
    for rewrite in rewrites:
        assert bytes_of(rewrite) == (0, entry(1, OtaImgState.ABORTED).to_bytes())


def test_both_entries_may_be_aborted_and_a_wrong_crc_is_kept():
    pending = OtaImgState.PENDING_VERIFY
    first, second = rollback.unconfirmed((entry(1, pending, crc=5), entry(2, pending, seq_label=b"x" * 20)))
    assert bytes_of(first) == (0, entry(1, OtaImgState.ABORTED, crc=5).to_bytes())
    assert bytes_of(second) == (1, entry(2, OtaImgState.ABORTED, seq_label=b"x" * 20).to_bytes())


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("active", [0, 1])
def test_only_a_new_entry_that_was_chosen_is_put_on_trial(state, active):
    entries = [entry(1, OtaImgState.NEW), entry(2, OtaImgState.NEW)]
    entries[active] = entry(3, state)
    trial = rollback.trial(tuple(entries), active)
    if state == OtaImgState.NEW:
        assert bytes_of(trial) == (active, entry(3, OtaImgState.PENDING_VERIFY).to_bytes())
    else:
        assert trial is None


def test_without_an_active_entry_nobody_is_on_trial():
    assert rollback.trial((entry(1, OtaImgState.NEW), entry(2, OtaImgState.NEW)), -1) is None


@pytest.mark.parametrize(("with_rollback", "state"), [(True, OtaImgState.NEW), (False, OtaImgState.UNDEFINED)])
def test_a_choice_writes_the_builds_own_first_state(with_rollback, state):
    choice = rollback.select((entry(1, OtaImgState.VALID), BLANK), 1, 2, rollback=with_rollback)
    assert bytes_of(choice) == (1, entry(2, state).to_bytes())


@pytest.mark.parametrize("state", STATES)
def test_confirming_makes_any_state_valid_and_a_valid_one_stays(state):
    rewrite = rollback.confirm((BLANK, entry(2, state)), 1)
    if state == OtaImgState.VALID:
        assert rewrite is None
    else:
        assert bytes_of(rewrite) == (1, entry(2, OtaImgState.VALID).to_bytes())


@pytest.mark.parametrize("state", STATES)
def test_rejecting_makes_any_state_invalid(state):
    assert bytes_of(rollback.reject((entry(1, state), BLANK), 0)) == (0, entry(1, OtaImgState.INVALID).to_bytes())


def test_the_first_entry_that_names_a_slot_gives_its_state():
    entries = entry(1, OtaImgState.ABORTED), entry(3, OtaImgState.VALID)
    assert rollback.state_of_slot(entries, 0, 2) == OtaImgState.ABORTED
    assert rollback.state_of_slot(entries, 1, 2) is None
    assert rollback.state_of_slot((entry(1, 2, crc=0), entry(3, UNKNOWN)), 0, 2) == UNKNOWN


@pytest.mark.parametrize(
    ("first", "second", "seq"),
    [
        (entry(3, 3), entry(2, 4), 2),
        (entry(2, 4), entry(2, 3), 2),
        (entry(3, 3), entry(2, 2), 3),
        (entry(3, 2), entry(2, 0), None),
        (entry(3, 3, crc=1), BLANK, None),
        (entry(0xFFFFFFFF, 3), BLANK, None),
    ],
)
def test_the_last_invalid_entry_has_the_smaller_number(first, second, seq):
    found = rollback.last_invalid((first, second))
    assert (found.ota_seq if found else None) == seq


def test_a_tie_of_invalid_entries_is_the_first_ones():
    assert rollback.last_invalid((entry(2, 4), entry(2, 3))).ota_state == OtaImgState.ABORTED


def test_applied_changes_one_entry():
    before = entry(1, 2), entry(2, 0)
    for index in (0, 1):
        after = rollback.applied(before, Rewrite(index, BLANK))
        assert after[index] is BLANK
        assert after[1 - index] is before[1 - index]


@pytest.mark.parametrize(("word", "name"), [(2, "VALID"), (0xFFFFFFFF, "UNDEFINED"), (0x77, "0x00000077")])
def test_state_names(word, name):
    assert rollback.state_name(word) == name
    assert rollback.as_state(word) == word

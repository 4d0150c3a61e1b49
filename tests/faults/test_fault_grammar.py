"""The grammar of a fault plan: each form has one spelling, and what is no fault is named in one sentence."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota import faults
from py_esp_ota._core import Flash
from py_esp_ota.faults import FORMS, Fault, FlashFault, Plan, parse
from py_esp_ota.faults.grammar import Word


@st.composite
def any_fault(draw):
    form = draw(st.sampled_from(sorted(FORMS.values(), key=lambda form: form.word)))
    args = [draw(st.integers(arg.low, arg.high)) for arg in form.must]
    for option in form.may:
        value = st.just(option.name) if isinstance(option, Word) else st.integers(option.low, option.high)
        args += draw(st.lists(value, max_size=1))
    least = {"none": None, "first": 1, "row": 2}[form.times]
    times = draw(st.none() | st.integers(least, 10**9 - 1)) if least else None
    return Fault(form.word, tuple(args), times)


@given(st.lists(any_fault(), max_size=5), st.sampled_from(["", "cut@37", "cut@0:torn"]), st.integers(0, 5))
def test_a_plan_gives_its_text_back(wanted, cut, place):
    parts = [*wanted[:place], *([FlashFault(cut)] if cut else []), *wanted[place:]]
    plan = Plan(tuple(parts))
    assert parse(str(plan)) == plan
    assert str(parse(str(plan))) == str(plan)
    assert plan.flash == cut
    assert [fault for side in ("network", "mqtt", "clock", "app", "judge") for fault in plan.of(side)] == sorted(
        wanted, key=lambda fault: ("network", "mqtt", "clock", "app", "judge").index(fault.side)
    )


@given(st.text(max_size=30) | st.from_regex(r"(cut|drop|mqtt-lose|clock-jump|swap|app-no)@[-:0-9a-z*]{0,12}"))
def test_any_text_is_a_plan_or_one_sentence(text):
    try:
        told = str(parse(text))
    except ValueError as error:
        told = str(error)
        assert told != text
        assert "\n" not in told
    else:
        assert told == text


def test_the_package_lists_every_form_and_no_other():
    listed = re.findall(r"^``(\S+?)`` ", faults.__doc__, re.MULTILINE)
    assert listed == [form.usage for form in FORMS.values()]


def test_plans_compose():
    plan = parse("drop@5*1") + parse("cut@3") + Fault("mqtt-lose", (2, "down"))
    assert str(plan) == "drop@5*1+cut@3+mqtt-lose@2:down"
    assert [str(fault) for fault in plan.of("network")] == ["drop@5*1"]
    assert str(plan.only("mqtt")) == "mqtt-lose@2:down"
    assert Plan() + plan == plan + Plan() == plan
    assert Plan() + Plan() == parse("") == Plan()


@pytest.mark.parametrize(
    ("text", "flash"),
    [("cut@37:torn+drop@65536", "cut@37:torn"), ("flip@1*2+cut@37", "cut@37"), ("mqtt-budget@0", ""), ("", "")],
)
def test_what_only_the_flash_knows_goes_to_the_flash(text, flash):
    plan = parse(text)
    assert plan.flash == flash
    device = Flash()
    device.fault = plan.flash
    assert device.fault == flash


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("drip@5", "'drip@5'"),
        ("drop", "'drop'"),
        ("drop@", "'drop@'"),
        ("drop@-1", "'drop@-1'"),
        ("drop@+1", "'drop@'"),
        ("drop@01", "'drop@01'"),
        ("drop@0x10", "'drop@0x10'"),
        ("drop@5 ", "'drop@5 '"),
        ("drop@5:6", "'drop@5:6'"),
        ("Drop@5", "'Drop@5'"),
        ("drop@٣", "'drop@٣'"),
        ("drop@5*0", "'drop@5*0'"),
        ("drop@5*", "'drop@5*'"),
        ("drop@5++flip@1", "''"),
        ("+", "''"),
        ("drop@1000000000000000000", "'drop@1000000000000000000'"),
        ("status@99", "'status@99'"),
        ("status@600", "'status@600'"),
        ("chunked@", "'chunked@'"),
        ("chunked@1", "'chunked@1'"),
        ("slow@0", "'slow@0'"),
        ("mqtt-lose@2*1", "'mqtt-lose@2*1'"),
        ("mqtt-lose@2:up", "'mqtt-lose@2:up'"),
        ("mqtt-lose@2:down:down", "'mqtt-lose@2:down:down'"),
        ("mqtt-delay@2", "'mqtt-delay@2'"),
        ("mqtt-delay@2:0", "'mqtt-delay@2:0'"),
        ("mqtt-budget@5*2", "'mqtt-budget@5*2'"),
        ("clock-jump@5:-0", "'clock-jump@5:-0'"),
        ("clock-jump@-5:1", "'clock-jump@-5:1'"),
        ("app-no@boot", "'app-no@boot'"),
        ("app-crash@0", "'app-crash@0'"),
        ("swap@1:after", "'swap@1:after'"),
        ("flip@1+cut", "'cut'"),
        ("cut@01", "'cut@01'"),
    ],
)
def test_a_part_that_is_no_fault_is_named(text, named):
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mqtt-lose@2:up", "'mqtt-lose@2:up' is no fault: expected mqtt-lose@N[:down][*K], K from 2"),
        ("status@42", "'status@42' is no fault: expected status@NNN[*K], NNN from 200 to 599"),
        ("app-no@x", "'app-no@x' is no fault: expected app-no[@mqtt]"),
        ("slow@0", "'slow@0' is no fault: expected slow@N[*K], N from 1"),
        ("app-crash@0", "'app-crash@0' is no fault: expected app-crash[@S][*K], S from 1"),
        ("drip@5", "'drip@5' is no fault: nothing is called 'drip', perhaps drop"),
    ],
)
def test_the_sentence_says_what_was_expected(text, sentence):
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("zzz", "'zzz' is no fault: expected one of connect, status, "),
        ("", "'' is no fault: expected one of connect, status, "),
        ("cut@5:half", "'cut@5:half' is no fault: to the flash it is not a fault plan: "),
    ],
)
def test_the_sentence_knows_the_flashs_words_from_no_words(text, beginning):
    with pytest.raises(ValueError) as caught:
        parse(f"drop@1+{text}")
    assert str(caught.value).startswith(beginning)


def test_a_fault_that_has_no_text_cannot_be_made():
    for word, args, times in (("drop", (), None), ("drop", (-1,), None), ("fly", (), None), ("chunked", (), 0)):
        with pytest.raises(ValueError):
            Fault(word, args, times)

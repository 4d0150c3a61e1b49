"""Everything that can go wrong around one device, as one line of text: ``cut@37:torn+drop@65536*1+mqtt-lose@2``.

A plan is a value: ``parse`` reads it, ``str()`` gives the text back, plans compose with ``+``. Every count begins when
the plan is armed, N messages, bytes or looks pass before a fault strikes, and nothing is random: the same text does
the same again. Without ``*K`` a fault of the network strikes every request, with it the first K.

============================  =======================================================================================
network, of each request
----------------------------  ---------------------------------------------------------------------------------------
``connect@ERRNO[*K]``         nobody answers; ``ERRNO`` is the POSIX number of the reason
``status@NNN[*K]``            the server answers with this status and an empty body
``redirect-loop[*K]``         the server redirects to the same URL; each time takes 0.1 s
``redirect-close[*K]``        the same, and the connection is closed: the request that follows is lost
``no-range[*K]``              the server ignores ``Range``: 200 and the whole body instead of 206
``wrong-range@N[*K]``         asked for a range, the server sends as much from byte N on, and says so
``content-range@N[*K]``       a 206 has the right body, and a ``Content-Range`` that begins with N
``short@N[*K]``               the body ends cleanly after N bytes, as its header says
``chunked[*K]``               the body comes without ``Content-Length``
``slow@N[*K]``                the body comes at N bytes per second
``drop@N[*K]``                the connection is lost after N bytes of the body
``stall@N[*K]``               after N bytes of the body nothing comes, and the connection stays
``flip@N[*K]``                the lowest bit of body byte N (from 0) is wrong
============================  =======================================================================================

MQTT messages go up from the device, or with ``:down`` down to it; with ``*K`` K of them in a row suffer. What is sent
again for want of a PUBACK counts as one more.

================================  ===================================================================================
``mqtt-lose@N[:down][*K]``        message N (from 0) is lost; going up, it has its PUBACK all the same
``mqtt-twice@N[:down][*K]``       it arrives twice
``mqtt-delay@N:S[:down][*K]``     it arrives S seconds late, after others; going up, even after a reset
``mqtt-puback@N[*K]``             it arrives, and its PUBACK is lost
``mqtt-cut@N[:down][*K]``         the connection is lost at message N of it; ``*K``: so are the first K connections
``mqtt-refuse[*K]``               the broker does not answer, or not the first K times
``mqtt-budget@N``                 from the next boot on the app begins with an MQTT budget of N
================================  ===================================================================================

The clock, the app, and those who look at images:

============================  =======================================================================================
``clock-unset[@S]``           the clock is not set (or not for S seconds): it counts from 1970
``clock-jump@S:D``            after S seconds the clock jumps by D seconds, backwards when negative
``app-no[@mqtt]``             the self-test fails: at boot, or once MQTT is connected
``app-raises[@mqtt]``         the self-test aborts: the chip resets
``app-silent``                the self-test never answers
``app-crash[@S][*K]``         a new app panics right after its boot (or S seconds later), every time or K times
``glitch@N[*K]``              look N (from 0) at an image answers OK, if the image can be followed at all
``swap@N[:before]``           right after look N (or before it) the slot holds what the next app slot holds
============================  =======================================================================================

Every other part is the flash's own, like ``cut@37:torn`` (see ``Flash.fault``).
"""

from __future__ import annotations

from py_esp_ota.faults.app import FaultyApp
from py_esp_ota.faults.clock import FaultyClock
from py_esp_ota.faults.grammar import FORMS, Fault, FlashFault, Form, Plan, parse
from py_esp_ota.faults.judge import FaultyJudge
from py_esp_ota.faults.mqtt import FaultyMqtt
from py_esp_ota.faults.network import FaultyFetch
from py_esp_ota.faults.weather import Weather

__all__ = [
    "FORMS",
    "Fault",
    "FaultyApp",
    "FaultyClock",
    "FaultyFetch",
    "FaultyJudge",
    "FaultyMqtt",
    "FlashFault",
    "Form",
    "Plan",
    "Weather",
    "parse",
]

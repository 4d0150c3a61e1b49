"""Two devices of one lab are two nodes."""

from __future__ import annotations

import pytest

from py_esp_ota import Lab
from py_esp_ota.firmware import Firmware

APP = Firmware("lamp", "1.0.0").to_bytes()


def test_two_devices_with_one_node_id_are_refused():
    with Lab() as lab:
        lab.device(firmware=APP, node_id="lamp-1")
        with pytest.raises(ValueError, match="'lamp-1' is another device's in this lab already"):
            lab.device(firmware=APP, node_id="lamp-1")


def test_a_name_that_is_made_up_is_free():
    with Lab() as lab:
        lab.device(firmware=APP, node_id="node000002")
        names = [lab.device(firmware=APP).node_id for _ in range(3)]
        assert len({"node000002", *names}) == 4

import pytest

from py_esp_ota._core import verify_partition_table
from py_esp_ota.idf.log import Log


def test_lines_have_level_time_and_tag():
    log = Log(lambda: 44)
    log.info("boot", "End of partition table")
    log.warning("boot", "careful")
    log.error("esp_image", "broken")
    assert log.lines == [
        "I (44) boot: End of partition table",
        "W (44) boot: careful",
        "E (44) esp_image: broken",
    ]


def test_the_time_is_asked_for_at_each_line():
    ticks = iter([1, 20, 300])
    log = Log(lambda: next(ticks))
    for _ in range(3):
        log.info("t", "x")
    assert log.lines == ["I (1) t: x", "I (20) t: x", "I (300) t: x"]


def test_the_sink_sees_each_line_as_it_is_printed():
    seen = []
    log = Log(lambda: len(seen), seen.append)
    log.info("t", "one")
    log.error("t", "two")
    assert seen == log.lines == ["I (0) t: one", "E (1) t: two"]


def test_lines_of_the_core_keep_their_level_and_tag():
    log = Log(lambda: 7)
    log.core(verify_partition_table(b"\xff" * 0xC00, 0x400000).log)
    assert log.lines == ["E (7) flash_parts: partition 0 invalid magic number 0xffff"]


@pytest.mark.parametrize("method", ["info", "warning", "error"])
def test_braces_and_percents_are_only_text(method):
    log = Log(lambda: 0)
    getattr(log, method)("t", "{0} %s")
    assert log.lines[0].endswith("t: {0} %s")

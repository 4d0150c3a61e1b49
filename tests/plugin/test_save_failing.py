"""--esp-ota-save-failing: the image that a property test failed with, as a file."""

from __future__ import annotations

import pytest

import py_esp_ota.strategies  # noqa: F401 - before pytester looks, for it forgets what an inner run imports
from py_esp_ota import inspect_image

pytest_plugins = "pytester"

SOURCE = """
    from hypothesis import Phase, assume, given, settings
    from py_esp_ota import inspect_image
    from py_esp_ota.strategies import corrupted_images, images

    QUIET = settings(database=None, derandomize=True, phases=set(Phase) - {UNWANTED})

    @QUIET
    @given(corrupted_images(faults=["checksum"]))
    def test_refuses(corrupted):
        assert corrupted.data[0] != 0xE9

    class TestClass:
        @QUIET
        @given(image=images(signed=False))
        def test_takes(self, image):
            assume(len(image) > 336)
            assert len(image) < 340

    @QUIET
    @given(images(signed=False))
    def test_sound(image):
        assume(len(image) > 336)
        assert inspect_image(image).valid

    def test_plain():
        assert False
"""


def run(pytester, *options, unwanted="Phase.explain"):
    """The explanation costs more than all the rest: it varies the smallest example until each of its parts is known."""
    pytester.makepyfile(SOURCE.replace("UNWANTED", unwanted))
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)


def test_the_smallest_is_saved_when_asked(pytester):
    # What is tried for an explanation fails, too, and is not the smallest.
    result = run(pytester, "--esp-ota-save-failing", "failing/images", unwanted="None")
    result.assert_outcomes(failed=3, passed=1)
    folder = pytester.path / "failing/images"
    assert sorted(file.name for file in folder.iterdir()) == ["test_refuses-corrupted.bin", "test_takes-image.bin"]
    data = (folder / "test_refuses-corrupted.bin").read_bytes()
    assert len(data) == 336
    assert [fault.field for fault in inspect_image(data).faults] == ["checksum"]
    data = (folder / "test_takes-image.bin").read_bytes()
    assert len(data) == 352  # the first that fails is longer
    assert inspect_image(data).valid
    result.stdout.fnmatch_lines(
        ["336 bytes; look at them: esp-ota image-info failing/images/test_refuses-corrupted.bin"]
    )


def test_what_fails_prints_as_an_expression(pytester):
    result = run(pytester)
    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(["*CorruptedImage(rebuilt(*"])
    result.stdout.no_fnmatch_line("*look at them*")
    assert not list(pytester.path.rglob("*.bin"))


def test_a_folder_that_cannot_be_made_is_told(pytester):
    (pytester.path / "taken").write_text("")
    result = run(pytester, "--esp-ota-save-failing", "taken/images")
    result.assert_outcomes(failed=3, passed=1)
    result.stdout.fnmatch_lines(["not saved: *taken*"])


@pytest.mark.parametrize("plugin", ["hypothesispytest"])
def test_without_hypothesis_own_plugin(pytester, plugin):
    run(pytester, "--esp-ota-save-failing", "failing", "-p", f"no:{plugin}").assert_outcomes(failed=3, passed=1)

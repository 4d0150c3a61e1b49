"""What a verb says must be so: the release and who says it, the chip, what a file is, and whose limit was met."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota import firmware
from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, bootloader, layout_of, merge

TABLE = PartitionTable.builtin("two_ota").to_bytes()
HEADING = "# Espressif IoT Development Framework (ESP-IDF) 5.3.2 Project Configuration\n"


def old_bootloader(*texts: bytes) -> bytes:
    """One segment of code and one of data, without a descriptor, as before v5.2."""
    layout = layout_of("esp32c3")
    data = b"\0".join((b"", *texts, b"")).ljust(64, b"\0")
    return firmware.image([(layout.iram, bytes(64)), (0x3FCD5000, data)], chip="esp32c3")


def app(version: str) -> bytes:
    return Firmware("lamp", "1.0.0", idf_ver=version).to_bytes()


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


def flash(loader: bytes, image: bytes | None = None, table: bytes = TABLE) -> bytes:
    parts = {0: loader, 0x8000: table} | ({} if image is None else {0x10000: image})
    return merge(parts)


@pytest.fixture(autouse=True)
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("app").write_bytes(app("v5.1.2"))
    Path("newer").write_bytes(Firmware("lamp", "2.0.0", idf_ver="v5.4.1").to_bytes())
    Path("sdkconfig").write_text(HEADING)
    return tmp_path


# --------------------------------------------------------------------------------------------------------- releases


@pytest.mark.parametrize(
    ("loader", "image", "words", "line", "release"),
    [
        (bootloader(idf_ver="v5.2.1"), "v5.1.2", [], "v5.2.1", "ESP-IDF v5.2.1, by the bootloader descriptor"),
        (old_bootloader(), "v4.4.8-dirty", [], "v4.4.8", "ESP-IDF v4.4.8, by the app descriptor of factory"),
        (old_bootloader(b"v4.4.1"), "v4.4.8", [], "v4.4.1", "ESP-IDF v4.4.8, by the app descriptor of factory"),
        (
            old_bootloader(),
            "v4.4.8",
            ["--config", "sdkconfig"],
            "v5.3.2",
            "ESP-IDF v5.3.2, by the heading of sdkconfig",
        ),
        (old_bootloader(), "v4.4.8", ["--idf-version", "v5.0"], "v5.0", "ESP-IDF v5.0, by --idf-version"),
        (old_bootloader(), "1a2b3c4", [], "unknown", "ESP-IDF v6.2, the newest, as nothing says another"),
        (b"\xff" * 32, None, ["--chip", "esp32c3"], "v6.1", "ESP-IDF v6.2, the newest, as nothing says another"),
    ],
)
def test_the_release_and_who_says_it(loader, image, words, line, release):
    Path("flash").write_bytes(flash(loader, None if image is None else app(image)))
    done = run("boot", "flash", *words)
    assert f" boot: ESP-IDF {line} 2nd stage bootloader\n" in done.stdout
    assert f"\n\n  release: {release}\n" in done.stdout
    version, _, source = release.removeprefix("ESP-IDF ").partition(", ")
    assert json.loads(run("boot", "flash", *words, "--json").stdout)["release"] == {
        "version": version,
        "source": source,
    }


def test_the_release_decides_what_the_bootloader_does():
    """v5.5 knows no table without rows; before, an erased one was just that."""
    Path("flash").write_bytes(flash(old_bootloader(), None, b"\xff" * 0xC00))
    told = [run("boot", "flash", "--idf-version", version).stdout.splitlines() for version in ("v5.4", "v5.5.1")]
    one, two = ([line for line in lines if "release" not in line and "2nd stage" not in line] for lines in told)
    assert one != two


def test_a_sweep_takes_the_release_of_the_old_app():
    done = run("sweep", "app", "newer", "--cut", "0")
    assert done.stdout.splitlines()[1].rstrip() == "release: ESP-IDF v5.1.2, by the app descriptor of app"
    told = json.loads(run("sweep", "app", "newer", "--cut", "0", "--idf-version", "5.3", "--json").stdout)
    assert told["release"] == {"version": "v5.3", "source": "by --idf-version"}


@pytest.mark.parametrize("words", [["boot", "flash", "--silicon"], ["run", "flash", "--timeout", "0.01"]])
def test_machine_code_is_of_the_release_it_is_of(words):
    Path("flash").write_bytes(flash(bootloader(idf_ver="v5.2.1"), app("v5.2.1")))
    done = run(*words, "--idf-version", "v5.5")
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert "--idf-version v5.5 contradicts the flash: ESP-IDF v5.2.1, by the bootloader descriptor" in done.output
    told = json.loads(run(*words, "--idf-version", "v5.2.1", "--json").stdout)
    assert told["release"] == {"version": "v5.2.1", "source": "by --idf-version"}


@pytest.mark.parametrize("words", [["boot", "flash"], ["sweep", "app", "newer"], ["run", "flash"]])
def test_what_is_no_release(words):
    Path("flash").write_bytes(flash(bootloader(), app("v6.1")))
    done = run(*words, "--idf-version", "new")
    assert (done.exit_code, "'new' is no release, for example v5.5.1" in done.output) == (2, True)


# ------------------------------------------------------------------------------------------------- what a file is


@pytest.mark.parametrize("verb", ["boot", "run"])
def test_an_app_is_no_flash(verb):
    done = run(verb, "app")
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    assert done.output.startswith("Error: app is an app, not a flash; put it into one")
    assert "esp-ota merge-bin -o flash.bin" in done.output


def test_an_sdkconfig_of_another_chip_is_named():
    Path("flash").write_bytes(flash(bootloader(), app("v6.1")))
    Path("sdkconfig").write_text('CONFIG_IDF_TARGET="esp32s3"\n')
    for words, file in ((["boot", "flash"], "flash"), (["sweep", "app", "newer"], "app")):
        done = run(*words, "--config", "sdkconfig")
        said = f"Error: sdkconfig is for esp32s3 (CONFIG_IDF_TARGET), and {file} for esp32c3\n"
        assert (done.exit_code, done.output) == (2, said)
    Path("sdkconfig").write_text('CONFIG_IDF_TARGET="esp32c3"\n')
    assert run("boot", "flash", "--config", "sdkconfig").exit_code == 0


def test_a_build_directory_whose_sdkconfig_is_of_another_chip():
    Path("build").mkdir()
    Path("build/app.bin").write_bytes(app("v6.1"))
    Path("build/loader.bin").write_bytes(bootloader())
    Path("build/table.bin").write_bytes(TABLE)
    files = {"0x0": "loader.bin", "0x8000": "table.bin", "0x10000": "app.bin"}
    Path("build/flasher_args.json").write_text(json.dumps({"flash_files": files}))
    Path("sdkconfig").write_text('CONFIG_IDF_TARGET="esp32"\n')
    assert "sdkconfig is for esp32 (CONFIG_IDF_TARGET), and build for esp32c3" in run("boot", "build").output


def test_the_mark_that_some_editors_begin_a_text_with():
    mark = b"\xef\xbb\xbf"
    Path("flash").write_bytes(flash(bootloader(), app("v6.1")))
    assert run("efuse", "new", "fuses", "--chip", "esp32c3").exit_code == 0
    Path("fuses").write_bytes(mark + Path("fuses").read_bytes())
    Path("sdkconfig").write_bytes(mark + HEADING.encode())
    Path("table").write_bytes(mark + PartitionTable.builtin("two_ota").to_csv().encode())
    Path("values").write_bytes(mark + b"key,type,encoding,value\napp,namespace,,\n")
    Path("build").mkdir()
    Path("build/part").write_bytes(b"x")
    Path("build/flasher_args.json").write_bytes(mark + b'{"flash_files": {"0x0": "part"}}')
    for words in (
        ["boot", "flash", "--config", "sdkconfig", "--efuse", "fuses"],
        ["partition-table", "table"],
        ["nvs", "generate", "values", "0x3000", "nvs"],
        ["merge-bin", "build", "-o", "merged"],
        ["efuse", "show", "fuses"],
    ):
        assert run(*words).exit_code == 0, words


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["boot", "flash", "--config", "big"], "an sdkconfig has no more than"),
        (["boot", "flash", "--efuse", "big"], "an eFuse file has no more than"),
        (["sign", "app", "--key", "big", "-o", "out"], "a key has no more than"),
        (["efuse", "burn", "fuses", "--hmac-key", "0", "big"], "a key has no more than"),
        (["nvs", "list", "flash", "--keys", "big"], "a key partition has no more than"),
        (["nvs", "generate", "big", "0x3000", "out"], "a CSV of values has no more than"),
    ],
)
def test_a_limit_is_its_own(words, says):
    Path("flash").write_bytes(flash(bootloader(), app("v6.1")))
    assert run("efuse", "new", "fuses", "--chip", "esp32c3").exit_code == 0
    with Path("big").open("wb") as file:
        file.truncate(2 << 20)
    done = run(*words)
    assert (done.exit_code, done.output.count("\n")) == (2, 1), done.output
    assert says in done.output
    assert "flash holds" not in done.output

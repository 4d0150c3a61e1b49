"""Bugs that were somebody's outage, searched for with the strategies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from py_esp_ota import Chip, EspErr, Flash, PartitionTable, Sdkconfig
from py_esp_ota._core import EFuse, OtaSelectEntry
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.errors import EspError
from py_esp_ota.firmware import CHIPS, Firmware, app_desc, image, layout_of, merge
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.strategies import Bench, bench_of, images
from py_esp_ota.strategies.corrupted import _STACKS

sys.path.insert(0, str(Path(__file__).parents[1] / "core"))

from test_image_modes import LEGAL

# --------------------------------------------------------------------------------------- CVE-2018-18558: load addresses


@pytest.mark.parametrize("chip", CHIPS)
def test_no_segment_is_loaded_outside_ram_or_over_the_bootloaders_stack(chip):
    """Any address and length, most of them near an edge, some so long that the range wraps at zero."""
    layout, stack = layout_of(chip), _STACKS[chip]
    edges = [*{edge for span in LEGAL[chip] for edge in span}, stack, stack - 0x8000, 0x10000000, 0x80000000, 0]
    near = st.builds(lambda edge, words: (edge + 4 * words) % 2**32, st.sampled_from(edges), st.integers(-0x80, 0x80))
    anywhere = st.integers(0x4000000, 0x3FFFFFFF).map(lambda word: 4 * word)

    @given(near | anywhere, st.integers(1, 0x800))
    def holds(address, words):
        desc = app_desc("0", "0", max_efuse_blk_rev_full=layout.max_blk_rev)
        data = image([(layout.drom + 0x20, desc), (address, bytes(4 * words))], chip=chip)
        verdict = Bench(chip=chip).load(data)
        if verdict.err != EspErr.ESP_OK or verdict.segments[1].kind != "load":
            return
        end = address + 4 * words
        assert any(low <= address and end <= high for low, high in LEGAL[chip]), (hex(address), words)
        assert end <= stack - 0x8000 or address >= stack, (hex(address), words)

    holds()


# ----------------------------------------------------------------------------------------- path traversal through names

NAMES = (
    st.lists(
        st.sampled_from(["..", ".", "/", "\\", "%2e", "%2f", "\0", "~", "C:", "ca", "a", "\u2215", "\n", "e" * 300]),
        min_size=1,
        max_size=6,
    ).map("".join)
    | st.text(max_size=12)
    | st.text("abc-_019", min_size=1, max_size=8)
)


class Clock:
    """A moment that lasts."""

    def now(self) -> float:
        return 1_767_225_600.0


def test_no_name_leads_out_of_the_data_folder(tmp_path):
    """Node id, file name and version, against everything that the cloud keeps on disk."""
    folder = tmp_path / "outer" / "data"
    folder.mkdir(parents=True)
    (tmp_path / "outer" / "keep").write_text("mine")
    authority = LocalCa(folder / "ca", Clock())
    authority.cloud()
    numbers = iter(range(1 << 30))
    store = Store(f"sqlite:///{folder / 'cloud.db'}")
    service = CloudService(
        store, clock=Clock(), public_url="http://x", token_hex=lambda size: f"{next(numbers):0{2 * size}x}"
    )
    lamp = Firmware("lamp", "1.0.0", size=0x400).to_bytes()
    taken = set()

    @given(NAMES, NAMES)
    def holds(name, version):
        service.intake.on_presence(name, True)
        try:
            files = authority.node(name)
            taken.add(name)
        except ValueError:
            pass
        else:
            assert {file.resolve().parent for file in (files.cert, files.key)} == {(folder / "ca").resolve()}
        try:
            stored = service.images.add(name, lamp, fw_version=version)
        except CloudError:
            return
        assert name not in service.images.url(stored.ota_image_id).split("/")
        service.images.delete(stored.ota_image_id)

    holds()
    store.close()
    assert taken, "some names are good ones"
    outside = {path for path in tmp_path.rglob("*") if folder not in path.parents}
    assert outside == {tmp_path / "outer", folder, tmp_path / "outer" / "keep"}
    known = {"ca", "server", "cloud", *taken}
    assert {path.stem for path in (folder / "ca").iterdir()} <= {*known, *(f"node-{name}" for name in taken)}


# ---------------------------------------------------------------------------------------------------- sizes to the edge

SLOT = 0x20000
ROWS = f"otadata,data,ota,0xd000,0x2000\nota_0,app,ota_0,0x10000,0x{SLOT:x}\nota_1,app,ota_1,,0x{SLOT:x}\n"
TABLE = PartitionTable.from_csv(ROWS)
OLD = Firmware("lamp", "1.0.0", size=0x400).to_bytes()
CHOSEN = OtaSelectEntry(1, OtaImgState.VALID).to_bytes()
FACTORY_NEW = Flash.from_bytes(merge({0x8000: TABLE.to_bytes(), 0xD000: CHOSEN, 0x10000: OLD}), size=0x400000)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "size", [0, 0x1000, SLOT - 0x1000, SLOT - 16, SLOT - 1, SLOT, SLOT + 1, SLOT + 16, SLOT + 0x1000]
)
def test_an_image_of_any_size_boots_or_is_refused(size, signed):
    if signed and (size % 0x1000 or size == 0x1000):
        return  # a signed image is whole sectors, and at least two
    options = {"min_size": size, "max_size": size} if size else {}

    @settings(max_examples=8)
    @given(images(chips=["esp32c3"], signed=signed, **options))
    def holds(new):
        assert bench_of(new).verify(new).err == 0
        chip = Chip("esp32c3", flash=FACTORY_NEW.fork(), efuse=EFuse("esp32c3"))
        ops = OtaOps(chip, TABLE[1], Sdkconfig(), Log(lambda: 0))
        accepted = True
        try:
            handle = ops.begin(TABLE[2], 0)
            ops.write(handle, new)
            ops.end(handle)
            ops.set_boot_partition(TABLE[2])
        except EspError:
            accepted = False
        assert accepted == (len(new) <= SLOT)
        report = boot(chip, Sdkconfig())
        assert report.partition is not None
        assert report.partition.label == ("ota_1" if accepted else "ota_0")

    holds()

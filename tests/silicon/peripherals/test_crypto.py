"""The accelerators for SHA and AES, by hand, by DMA, and under the compiled drivers of a real app."""

from __future__ import annotations

import hashlib
import random
import struct
import warnings

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from micropython import ask, prompt, two_slots

from py_esp_ota.chip import Chip
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.chips.peripherals import PERIPHERALS
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.peripherals.aes_cipher import decrypted, encrypted
from py_esp_ota.silicon.words import sha1_compress

DATA = bytes(at * 7 & 0xFF for at in range(3000))


class Board:
    """A chip with its devices; descriptors lie at the beginning of its RAM, data behind."""

    def __init__(self, chip):
        self.hardware = Hardware(SOCS[chip], count=False)
        self.hardware.attach(Chip(chip))
        self.hardware.clear()
        self.at, self.registers = PERIPHERALS[chip], self.hardware.registers
        self.ram = SOCS[chip].ram[0].windows[0][0] + 0x1000

    def put(self, address, data):
        for at in range(0, len(data), 4):
            self.registers.write(address + at, int.from_bytes(data[at : at + 4], "little"))

    def get(self, address, length):
        words = (self.registers.read(address + at) for at in range(0, length, 4))
        return b"".join(word.to_bytes(4, "little") for word in words)

    def link(self, where, data, piece=1000, channel=1):
        """Descriptors for ``data``, by which the channel sends it or where it takes so much."""
        links = self.ram + 0x100 * where
        buffer = self.ram + 0x4000 * (where + 1)
        self.hardware.store(buffer, data)
        pieces = range(0, len(data), piece)
        for index, at in enumerate(pieces):
            length = min(piece, len(data) - at)
            last = index == len(pieces) - 1
            control = 1 << 31 | last << 30 | length << 12 | length
            following = 0 if last else links + 12 * (index + 1)
            self.hardware.store(links + 12 * index, struct.pack("<3I", control, buffer + at, following))
        return links, buffer

    def send(self, peripheral, data, channel=1, **how):
        links, _ = self.link(0, data, **how)
        self.registers.write(self.at.dma.base + 0xC0 * channel + 0x100, peripheral)
        self._begin(self.at.dma.out_link, channel, links)

    def take(self, peripheral, length, channel=1, **how):
        links, buffer = self.link(1, bytes(length), **how)
        self.registers.write(self.at.dma.base + 0xC0 * channel + 0xA0, peripheral)
        self._begin(self.at.dma.in_link, channel, links)
        return lambda: self.hardware.load(buffer, length)

    def _begin(self, first, channel, links):
        dma = self.at.dma
        self.registers.write(dma.base + first + dma.stride * channel, links & dma.mask)


@pytest.fixture(params=PERIPHERALS)
def board(request):
    return Board(request.param)


# ----------------------------------------------------------------------------------------------------------------- SHA

HASHES = [(0, hashlib.sha1), (1, hashlib.sha224), (2, hashlib.sha256)]


def padded(data):
    """As mbedTLS pads: the hardware only compresses."""
    return data + b"\x80" + bytes(-(len(data) + 9) % 64) + struct.pack(">Q", 8 * len(data))


@pytest.mark.parametrize(("mode", "function"), HASHES, ids=["sha1", "sha224", "sha256"])
@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 1000])
def test_the_sha_accelerator_is_sha(board, mode, function, length):
    base, whole = board.at.sha, padded(DATA[:length])
    board.registers.write(base, mode)
    for block in range(0, len(whole), 64):
        board.put(base + 0x80, whole[block : block + 64])
        board.registers.write(base + (0x14 if block else 0x10), 1)
    assert board.registers.read(base + 0x18) == 0
    size = function().digest_size
    assert board.get(base + 0x40, 32)[:size] == function(DATA[:length]).digest()


@pytest.mark.parametrize(("mode", "function"), HASHES, ids=["sha1", "sha224", "sha256"])
def test_sha_takes_its_data_by_dma_piece_by_piece(board, mode, function):
    base, whole = board.at.sha, padded(DATA)
    board.registers.write(base, mode)
    for begin, part in ((True, whole[:1280]), (False, whole[1280:])):
        board.send(7, part, piece=96)
        board.registers.write(base + 0x0C, len(part) // 64)
        board.registers.write(base + (0x1C if begin else 0x20), 1)
    assert board.get(base + 0x40, 32)[: function().digest_size] == function(DATA).digest()


def test_what_the_sha_accelerator_does_not_do_here_it_says(board):
    board.registers.write(board.at.sha, 3)
    board.registers.write(board.at.sha + 0x10, 1)
    assert board.hardware.trapped.ours
    assert board.hardware.trapped.reason.startswith("the SHA accelerator does not do mode 3 here")


def test_sha_1_of_random_data():
    rng = random.Random(1)
    start = bytes.fromhex("67452301efcdab8998badcfe10325476c3d2e1f0")
    for _ in range(50):
        data = rng.randbytes(rng.randrange(300))
        assert sha1_compress(start, padded(data)) == hashlib.sha1(data).digest()


# ----------------------------------------------------------------------------------------------------------------- AES


@pytest.mark.parametrize("length", [16, 24, 32])
def test_aes_of_random_blocks(length):
    rng = random.Random(length)
    for _ in range(30):
        key, block = rng.randbytes(length), rng.randbytes(16)
        theirs = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block)
        assert encrypted(key, block) == theirs
        assert decrypted(key, theirs) == block


@pytest.mark.parametrize("length", [16, 24, 32])
def test_the_aes_accelerator_does_a_block(board, length):
    key, base = DATA[:length], board.at.aes
    board.put(base, key)
    board.put(base + 0x20, DATA[100:116])
    board.registers.write(base + 0x40, length // 8 - 2)
    board.registers.write(base + 0x48, 1)
    assert board.registers.read(base + 0x4C) == 0
    theirs = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(DATA[100:116])
    assert board.get(base + 0x30, 16) == theirs
    board.put(base + 0x20, theirs)
    board.registers.write(base + 0x40, length // 8 - 2 | 4)
    board.registers.write(base + 0x48, 1)
    assert board.get(base + 0x30, 16) == DATA[100:116]


IV = bytes(range(12)) + b"\0\0\xff\xfe"


def judge(number, key):
    """The cipher of another package, in the mode of this number; some of them it does not like to be used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = ["ECB", "CBC", "OFB", "CTR", "CFB8", "CFB"][number]
        mode = getattr(modes, made)
        return Cipher(algorithms.AES(key), mode(IV) if number else mode())


@pytest.mark.parametrize("number", range(6), ids=["ecb", "cbc", "ofb", "ctr", "cfb8", "cfb128"])
@pytest.mark.parametrize("decrypts", [False, True])
def test_aes_takes_and_gives_by_dma_in_every_mode(board, number, decrypts):
    base, key, data = board.at.aes, DATA[:32], DATA[64:976]
    cipher = judge(number, key)
    theirs = (cipher.decryptor() if decrypts else cipher.encryptor()).update(data)
    board.put(base, key)
    board.put(base + 0x50, IV)
    board.registers.write(base + 0x40, 2 | decrypts << 2)
    board.registers.write(base + 0x90, 1)
    board.registers.write(base + 0x94, number)
    made = b""
    for part in (data[:608], data[608:]):
        board.send(6, part, piece=200)
        given = board.take(6, len(part), piece=300)
        board.registers.write(base + 0x98, len(part) // 16)
        board.registers.write(base + 0x48, 1)
        assert board.registers.read(base + 0x4C) == 2
        board.registers.write(base + 0xB8, 0)
        assert board.registers.read(base + 0x4C) == 0
        made += given()
    assert made == theirs


def test_dma_that_leads_nowhere_or_round_in_a_circle_ends(board):
    base = board.at.sha
    for links in (0x0000, board.ram + 0x800):
        self_linked = struct.pack("<3I", 1 << 31 | 4 << 12 | 4, 0x60000000, board.ram + 0x800)
        board.hardware.store(board.ram + 0x800, self_linked)
        board.registers.write(board.at.dma.base + 0x100, 7)
        board.registers.write(board.at.dma.base + 0xE0, links & 0xFFFFF)
        board.registers.write(base, 2)
        board.registers.write(base + 0x0C, 0xFFFF)
        board.registers.write(base + 0x1C, 1)
        given = board.take(6, 64)
        assert given() == bytes(64)
    assert board.hardware.trapped is None


# ------------------------------------------------------------------------------------------- under compiled drivers


def test_compiled_drivers_hash_and_encrypt():
    session = prompt(Machine("esp32c3"), two_slots("1/VALID"))
    ask(session, "import hashlib, cryptolib; d = bytes(i * 7 & 255 for i in range(3000))")
    for name in ("sha1", "sha256"):
        assert ask(session, f"print(hashlib.{name}(d).digest())") == repr(hashlib.new(name, DATA).digest())
    for number, mode, more in ((1, modes.ECB(), ""), (2, modes.CBC(DATA[50:66]), ", d[50:66]")):
        theirs = Cipher(algorithms.AES(DATA[:16]), mode).encryptor().update(DATA[:1024])
        for way, data, made in (("encrypt", DATA[:1024], theirs), ("decrypt", theirs, DATA[:1024])):
            given = "d[:1024]" if data == DATA[:1024] else "e"
            ask(session, f"e = cryptolib.aes(d[:16], {number}{more}).{way}({given})")
            assert ask(session, "print(hashlib.sha256(e).digest())") == repr(hashlib.sha256(made).digest())
    assert session.trap is None

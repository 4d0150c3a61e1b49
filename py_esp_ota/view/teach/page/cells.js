/** The flash: every sector that the story can reach, and the cells of the one that is worked on. */

import { hex } from "teach/bytes";

const SECTOR = 4096, ENTRY = 32, FACES = 4;
const LABEL = 76, GAP = 2;

/** Bits of a byte, the highest first. */
const BITS = Uint8Array.from({ length: 2048 }, (_, at) => ((at >> 3) >> (7 - (at & 7))) & 1);

const rgb = (colour) => {
  const number = parseInt(colour.slice(1), 16);
  return [number >> 16, (number >> 8) & 255, number & 255];
};

/** Which sectors of each partition are drawn: those that anything ever stands in, and one more. */
export const rowsOf = (story) => {
  const last = new Map(story.partitions.map((row) => [row, 0]));
  const reach = (address, length) => {
    const row = story.partitionAt(address);
    if (row) last.set(row, Math.max(last.get(row), Math.ceil((address + length - row.offset) / SECTOR)));
  };
  for (const [address, , length] of story.base) reach(address, length);
  for (const [, address, length] of story.operations) reach(address, length);
  return story.partitions.map((row) => {
    const sectors = Math.max(1, Math.floor(row.size / SECTOR));
    return { row, shown: Math.min(sectors, last.get(row) + 1), sectors };
  });
};

/** What the core says of the image in each app partition. */
export const showImages = (story, flash) => {
  const lines = story.apps.map(({ label, offset, size }) => {
    const info = flash.inspect(offset, size);
    if (!info) return null;
    const line = document.createElement("li"), desc = info.app_desc;
    const blank = flash.read(offset, 16).every((byte) => byte === 0xff);
    const name = desc ? `${desc.project_name} ${desc.version}` : "an image";
    const [kind, text] = blank ? ["", "nothing"]
      : info.valid ? ["sound", `${name}, whole`]
      : ["broken", `${desc ? name : "no image"}: ${info.faults[0].field} is ${info.faults[0].found}, not ${info.faults[0].expected}`];
    line.className = kind;
    line.textContent = `${label}: ${text}`;
    return line;
  });
  document.getElementById("images").replaceChildren(...lines.filter(Boolean));
};

export class FlashView {
  constructor(story, colours) {
    this.story = story;
    this.colours = colours;
    this.rows = rowsOf(story);
    this.map = document.getElementById("map");
    this.cells = document.getElementById("cells");
    this.sector = null;
  }

  /** `operation`: the one just done, or that the power went in. */
  draw({ flash, before, operation, dark }) {
    this.#map(flash, operation, dark);
    this.#cells(flash, before, operation, dark);
  }

  #layout(width) {
    const most = Math.max(...this.rows.map(({ shown }) => shown));
    const size = most > 400 ? 6 : most > 100 ? 9 : 16;
    const across = Math.max(1, Math.floor((width - LABEL) / (size + GAP)));
    let y = 0;
    const places = this.rows.map((each) => {
      const lines = Math.ceil(each.shown / across);
      const place = { ...each, y, lines };
      y += lines * (size + GAP) + 8;
      return place;
    });
    return { size, across, places, height: y };
  }

  #map(flash, operation, dark) {
    const { map, colours } = this, width = map.clientWidth, ratio = devicePixelRatio || 1;
    const { size, across, places, height } = this.#layout(width);
    if (map.width !== Math.round(width * ratio) || map.height !== Math.round(height * ratio)) {
      map.width = Math.round(width * ratio);
      map.height = Math.round(height * ratio);
      map.style.height = `${height}px`;
    }
    const pen = map.getContext("2d"), fill = flash.fill();
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const here = operation && Math.floor(operation.address / SECTOR);
    for (const { row, shown, sectors, y } of places) {
      pen.fillStyle = colours.muted;
      pen.fillText(row.label, 0, y + size / 2, LABEL - 8);
      for (let number = 0; number < shown; number++) {
        const x = LABEL + (number % across) * (size + GAP), top = y + Math.floor(number / across) * (size + GAP);
        const sector = row.offset / SECTOR + number, full = (fill[sector] / 8) * size;
        pen.fillStyle = colours.one;
        pen.fillRect(x, top, size, size);
        pen.fillStyle = colours.zero;
        pen.fillRect(x, top + size - full, size, full);
        if (sector === here) {
          pen.strokeStyle = dark ? colours.violation : colours.accent;
          pen.lineWidth = 2;
          pen.strokeRect(x - 1, top - 1, size + 2, size + 2);
        }
      }
      if (shown < sectors && shown < across - 8) {
        pen.fillStyle = colours.muted;
        pen.fillText(`+ ${sectors - shown} erased`, LABEL + shown * (size + GAP) + 4, y + size / 2);
      }
    }
    const used = fill.reduce((count, each) => count + (each > 0), 0);
    this.#say("map-words", `${used} of ${fill.length} sectors hold something; the rest is erased, every bit 1.`);
  }

  #cells(flash, before, operation, dark) {
    const address = operation ? operation.address - (operation.address % SECTOR) : this.sector ?? this.story.otadata ?? 0;
    this.sector = address;
    // Of an otadata sector only the entry counts: 32 bytes side by side, each from its highest bit down.
    const row = this.story.partitionAt(address), entry = row && row.offset === this.story.otadata;
    const length = entry ? ENTRY : SECTOR;
    this.#frame(entry ? ENTRY : 256, entry ? 8 : 128);
    document.getElementById("fields").hidden = !entry;
    const now = flash.read(address, length), then = before?.read(address, length) ?? now;
    // Weak cells show another face at each look.
    const faces = dark && flash.tears ? Array.from({ length: FACES }, () => flash.read(address, length)) : [];
    const { one, zero, fell, rose, weak } = this.inks;
    const pixels = new Uint32Array(this.picture.data.buffer);
    let fallen = 0, risen = 0, unsure = 0;
    for (let at = 0; at < length; at++) {
      const cell = now[at], old = then[at];
      let differ = 0;
      for (const face of faces) differ |= face[at] ^ cell;
      for (let bit = 0; bit < 8; bit++) {
        const value = BITS[(cell << 3) | bit], was = BITS[(old << 3) | bit];
        let ink = value ? one : zero;
        if (differ && BITS[(differ << 3) | bit]) [ink, unsure] = [weak, unsure + 1];
        else if (was > value) [ink, fallen] = [fell, fallen + 1];
        else if (was < value) [ink, risen] = [rose, risen + 1];
        pixels[entry ? bit * ENTRY + at : (at << 3) | bit] = ink;
      }
    }
    this.cells.getContext("2d").putImageData(this.picture, 0, 0);
    const cells = entry ? `The 256 cells of otadata entry ${(address - row.offset) / SECTOR}` : "The 32,768 cells of sector";
    this.#say("cells-title", entry ? cells : `${cells} ${hex(address)}${row ? `, ${row.label}` : ""}`);
    const parts = [];
    if (fallen) parts.push(`${fallen.toLocaleString("en")} cells have just fallen from 1 to 0`);
    if (risen) parts.push(`${risen.toLocaleString("en")} have just risen to 1: erased`);
    if (unsure) parts.push(`${unsure.toLocaleString("en")} are neither: they read otherwise at each look`);
    this.#say("cells-words", parts.length ? `${parts.join("; ")}.` : "Light is 1, dark is 0. A program only makes bits fall; only an erase of the whole sector lifts them.");
  }

  #frame(width, height) {
    if (this.picture?.width === width) return;
    this.picture = new ImageData(width, height);
    Object.assign(this.cells, { width, height });
  }

  #say(id, text) {
    const element = document.getElementById(id);
    if (element.textContent !== text) element.textContent = text;
  }

  /** The colours as pixels; asked again when light becomes dark. */
  paint(colours) {
    this.colours = colours;
    const pixel = ([red, green, blue]) => (255 << 24) | (blue << 16) | (green << 8) | red;
    const ink = (name) => pixel(rgb(colours[name]));
    this.inks = { one: ink("one"), zero: ink("zero"), fell: ink("fell"), rose: ink("rose"), weak: ink("weak") };
  }
}

/** A flash without the core: it programs and erases, and knows nothing of torn cells, sums or images. */

const SECTOR = 4096;

export class PlainFlash {
  tears = false;

  constructor(size, bytes = new Uint8Array()) {
    this.cells = new Uint8Array(size).fill(0xff);
    this.cells.set(bytes);
    this.armed = null;
  }

  fork() { return new PlainFlash(this.cells.length, this.cells); }
  drop() {}
  arm(plan) { this.armed = plan; }
  power(on) { if (on) this.armed = null; }
  encrypt() {}
  otadata() { return null; }
  inspect() { return null; }

  #done(change) {
    if (this.armed === null || this.armed.endsWith(":after")) change();
    return this.armed === null;
  }

  program(address, data) {
    return this.#done(() => data.forEach((byte, at) => { this.cells[address + at] &= byte; }));
  }

  erase(address, length) {
    return this.#done(() => this.cells.fill(0xff, address, address + length));
  }

  read(address, length) { return this.cells.slice(address, address + length); }

  fill() {
    return Uint8Array.from({ length: this.cells.length / SECTOR }, (_, sector) => {
      let written = 0;
      for (let at = sector * SECTOR; at < (sector + 1) * SECTOR; at++) written += this.cells[at] !== 0xff;
      return Math.ceil((written * 8) / SECTOR);
    });
  }
}

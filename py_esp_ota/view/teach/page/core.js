/** The Rust core as WebAssembly: numbers go as arguments, everything longer through its two buffers. */

import { text } from "teach/bytes";

const CUT = 2;

/** What the core refused; the message is its own sentence. */
export class Refused extends Error {}

export class Core {
  static async load(bytes) {
    const { instance } = await WebAssembly.instantiate(bytes, {});
    return new Core(instance.exports);
  }

  constructor(calls) {
    this.calls = calls;
  }

  /** Call by name; returns the output. `null` stands for a power cut. */
  call(name, input, ...numbers) {
    const { calls } = this;
    if (input) {
      const at = calls.input(input.length);
      new Uint8Array(calls.memory.buffer, at, input.length).set(input);
    }
    const code = calls[name](...numbers);
    if (code === CUT) return null;
    const output = new Uint8Array(calls.memory.buffer, calls.output(), calls.output_length()).slice();
    if (code) throw new Refused(text(output));
    return output;
  }

  json(name, input, ...numbers) {
    return JSON.parse(text(this.call(name, input, ...numbers)));
  }

  /** Judge an image, as `esp-ota image-info --json` does. */
  inspect(bytes) {
    return this.json("inspect", bytes);
  }

  /** The rows of a partition table in CSV; refused, it is a sentence. */
  table(csv) {
    return this.json("table", new TextEncoder().encode(csv));
  }

  /** A flash that holds `bytes` from address 0 on. */
  flash(size, bytes = new Uint8Array(), strict = false) {
    return new Flash(this, handle(this.call("flash_new", bytes, size, Number(strict))));
  }
}

const handle = (bytes) => new DataView(bytes.buffer).getUint32(0, true);

/** One flash in the core. Calls that change it say whether the power stayed. */
export class Flash {
  /** Tears cells as the chip does. */
  tears = true;

  constructor(core, number) {
    this.core = core;
    this.number = number;
  }

  fork() { return new Flash(this.core, handle(this.core.call("flash_fork", null, this.number))); }
  drop() { this.core.calls.flash_drop(this.number); }
  program(address, data) { return this.core.call("flash_program", data, this.number, address) !== null; }
  erase(address, length) { return this.core.call("flash_erase", null, this.number, address, length) !== null; }
  arm(plan) { this.core.call("flash_arm", new TextEncoder().encode(plan), this.number); }
  power(on) { this.core.call("flash_power", null, this.number, Number(on)); }
  read(address, length) { return this.core.call("flash_read", null, this.number, address, length); }
  fill() { return this.core.call("flash_fill", null, this.number); }
  otadata(offset) { return this.core.json("flash_otadata", null, this.number, offset); }
  inspect(address, length) { return this.core.json("flash_inspect", null, this.number, address, length); }

  /** Who would boot, as the flash stands: `{table, start, tried, boots}`. */
  boot(chip, { table, anti, secure, unconfirmed: [before, after] }) {
    return this.core.json("flash_boot", new TextEncoder().encode(chip), this.number, table, Number(anti), secure, before, after);
  }

  encrypt(chip, config, key) {
    const bytes = key.match(/../g).map((pair) => parseInt(pair, 16));
    this.core.call("flash_encrypt", Uint8Array.from([...new TextEncoder().encode(chip), 0, config, ...bytes]), this.number);
  }
}

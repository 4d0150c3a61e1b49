/** A hand at the flash: bytes programmed and sectors erased at one stop, and what the core says would boot then. */

import { hex } from "teach/bytes";

const SECTOR = 4096, LONGEST = 256;
const $ = (id) => document.getElementById(id);

/** `0xd018` or `53272` as a number; null when it is none. */
export const address = (text) => (/^(0x[0-9a-f]+|[0-9]+)$/i.test(text.trim()) ? Number(text.trim()) : null);

/** `00 ff` as bytes; null when that is none. */
export const bytesOf = (text) => {
  const digits = text.replaceAll(/\s|0x/gi, "");
  return /^([0-9a-f]{2})+$/i.test(digits) ? Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16)) : null;
};

export class Touch {
  /** `changed` is called when the flash has to be drawn again. */
  constructor(core, changed) {
    this.core = core;
    this.changed = changed;
    this.key = "";
    this.done = [];
    $("touch").hidden = !core;
    if (!core) return;
    $("touch-program").addEventListener("click", () => this.#program());
    $("touch-erase").addEventListener("click", () => this.#erase());
    $("touch-undo").addEventListener("click", () => { this.done = []; this.#say(""); });
    $("touch-fuse").addEventListener("input", () => this.changed());
    $("touch-form").addEventListener("submit", (event) => { event.preventDefault(); this.#program(); });
  }

  follow(story) {
    this.story = story;
    if (this.core) $("touch-fuses").hidden = !story.anti_rollback;
    $("touch-fuse").value = "0";
  }

  /** Do here what was done by hand at this stop; at another one it is gone. */
  apply(flash, key) {
    if (key !== this.key) [this.key, this.done] = [key, []];
    this.flash = flash;
    this.untouched = this.done.length ? this.boot() : null;
    for (const { erases, at, bytes } of this.done) erases ? flash.erase(at, SECTOR) : flash.program(at, bytes);
  }

  /** Who boots; `secure` is the version in the fuses. */
  boot(secure = this.fuse) {
    const { story } = this;
    return this.flash.boot(story.chip, { table: story.table, anti: story.anti_rollback, secure, unconfirmed: story.unconfirmed });
  }

  get fuse() { return Math.max(0, $("touch-fuse").valueAsNumber || 0); }

  /** What is said below: who would boot, and why the others do not. */
  draw() {
    if (!this.core) return null;
    const place = $("touch-boots");
    let said;
    try {
      said = this.boot();
    } catch (error) {
      place.textContent = error.message;
      return null;
    }
    const refused = said.tried.filter(({ loads }) => !loads).map(({ label, why }) => `${label}: ${why}`);
    const words = said.table ? [`Nothing boots: ${said.table}.`]
      : [said.boots ? `${said.boots} boots.` : "Nothing boots.", ...refused.map((text) => `${text}.`)];
    place.textContent = words.join(" ");
    place.className = said.boots ? "sound" : "broken";
    $("touch-list").textContent = this.done.map(({ erases, at, bytes }) =>
      erases ? `erased ${hex(at)}` : `programmed ${bytes.length} at ${hex(at)}`).join("; ");
    return said;
  }

  #at(length) {
    const at = address($("touch-at").value), { size } = this.story;
    if (at === null) return this.#say(`"${$("touch-at").value}" is no address: 0xd018, say.`);
    if (at + length > size) return this.#say(`${hex(at)} is beyond the ${hex(size)} bytes of the flash.`);
    return at;
  }

  #program() {
    const bytes = bytesOf($("touch-bytes").value);
    if (!bytes || bytes.length > LONGEST) return this.#say(`Bytes are two digits each, 00 to ff, ${LONGEST} of them at most.`);
    const at = this.#at(bytes.length);
    if (at === null) return;
    const kept = this.flash.read(at, bytes.length).some((old, place) => bytes[place] & ~old);
    this.done.push({ erases: false, at, bytes });
    this.#say(kept ? "Bits that were 0 have stayed 0: only an erase lifts them." : "");
  }

  #erase() {
    const at = this.#at(1);
    if (at === null) return;
    this.done.push({ erases: true, at: at - (at % SECTOR), bytes: new Uint8Array() });
    this.#say("");
  }

  #say(text) {
    $("touch-said").textContent = text;
    this.changed();
    return null;
  }
}

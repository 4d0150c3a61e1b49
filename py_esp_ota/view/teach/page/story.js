/** The recorded half of the page: what was told, which wrecks there are, how each goes on. Values only. */

import { spread } from "teach/bytes";

export class Story {
  constructor(data, blob) {
    Object.assign(this, data);
    this.name = data.story;
    this.blob = blob;
    this.apps = data.partitions.filter((row) => row.type === 0);
    this.otaSlots = this.apps.filter((row) => row.subtype >= 0x10 && row.subtype < 0x20);
    this.told = data.tellings.map(() => null);
  }

  /** A telling by its number: operations, console, boots, trouble, and the wrecks of its cuts. */
  telling(number) {
    return (this.told[number] ??= this.#unpack(this.tellings[number]));
  }

  #unpack([done, console, boots, trouble, cuts, end]) {
    const flat = this.consoles[console];
    const lines = [];
    for (let i = 0; i < flat.length; i += 2) lines.push({ at: flat[i], text: this.lines[flat[i + 1]] });
    return {
      operations: spread(this.done[done]).map((each) => this.operation(each)),
      lines,
      boots: this.boots[boots].map(([at, last, reset, runs, version, state, why]) =>
        ({ at, end: last, reset, runs, version, state, why: why.map((line) => this.lines[line]) })),
      trouble,
      rows: cuts && cuts.flatMap(([row, count]) => new Array(count).fill(this.rows[row])),
      end,
    };
  }

  operation(number) {
    const [erases, address, length, place, tears] = this.operations[number];
    return { erases: Boolean(erases), address, length, place, tears: this.tears[tears] };
  }

  bytes(operation) {
    return this.blob.subarray(operation.place, operation.place + operation.length);
  }

  /** The wreck that a cut leaves: its number, or null where nobody has looked. A cut behind the last operation is clean. */
  wreckOf(telling, { operation, tear }) {
    if (operation >= telling.operations.length) return telling.end;
    const way = telling.operations[operation].tears.indexOf(tear);
    return telling.rows && way >= 0 ? telling.rows[operation][way] : null;
  }

  /** How a wreck ends: what the sweep says of it. */
  ending(wreck) {
    const [outcome, why, partition, version, state, otadata] = this.endings[this.wrecks[wreck][0]];
    return { outcome: this.outcomes[outcome][0], meaning: this.outcomes[outcome][1], why, partition, version, state, otadata };
  }

  lives(wreck) {
    return this.wrecks[wreck][1];
  }

  partitionAt(address) {
    return this.partitions.find((row) => row.offset <= address && address < row.offset + row.size);
  }

  /** The slot that a sequence number names. */
  slotOf(seq) {
    const count = this.otaSlots.length;
    const number = count ? ((seq - 1) >>> 0) % count : -1;
    return this.otaSlots.find((row) => (row.subtype & 15) === number)?.label ?? null;
  }
}

/** The slots along all operations: who runs, who would boot, and in which state; the fate of a cut at each of them. */

import { runsWords } from "teach/words";

const LABEL = 76, LANE = 46, STRIP = 15, BAR = 22, FOOT = 18;
const SECTOR = 4096;
const WORST = ["old", "new", "as_the_chip", "violation"];

/** The state that otadata has of each slot, by its name; of two entries for one slot the active one tells. */
const statesOf = (story, otadata) => {
  const { active, entries } = otadata, found = {};
  const order = active === null ? [0, 1] : [1 - active, active];
  for (const number of order) {
    const { seq, state, crc_ok } = entries[number], slot = crc_ok && seq !== 0xffffffff ? story.slotOf(seq) : null;
    if (slot) found[slot] = story.states[state] ?? "another state";
  }
  return found;
};

/** The states of the slots at every stop. The flash is asked where the entries may have changed, and nowhere else. */
export const slotStates = (story, path, film) => {
  const { otadata } = story, states = [];
  if (otadata === null) return states;
  let last = null, spelled = "";
  for (let stop = 0; stop < path.stops; stop++) {
    const { segment, done, dark } = path.at(stop);
    const operation = segment.told.operations[dark ? segment.cut.operation : done - 1];
    const there = operation && operation.address >= otadata && operation.address < otadata + 2 * SECTOR;
    if (last === null || there || dark || done === 0) {
      const read = film.at(stop).flash.otadata(otadata);
      if (read === null) return []; // without the core nobody can tell
      const found = statesOf(story, read), now = JSON.stringify(found);
      if (now !== spelled) [last, spelled] = [found, now];
    }
    states.push(last);
  }
  return states;
};

/** What is known of every stop of a path, for the strip and the lanes. */
export const storyline = (story, path) => {
  const stops = [];
  path.segments.forEach((segment, index) => {
    const { told, length, cut } = segment;
    for (let done = 0; done <= length; done++) {
      const booting = told.boots.find((boot) => boot.at <= done && done < boot.end);
      const boot = booting ?? told.boots.findLast((each) => each.end <= done);
      const clean = story.wreckOf(told, { operation: done, tear: "" });
      const row = told.rows?.[done] ?? [];
      const outcomes = row.map((wreck) => WORST.indexOf(story.ending(wreck).outcome));
      stops.push({
        index, done, dark: false, boot, loads: Boolean(booting),
        next: clean === null ? null : story.ending(clean),
        worst: Math.max(-1, ...outcomes),
      });
    }
    if (cut) {
      const wreck = path.wreckAfter(index);
      stops.push({ index, done: length, dark: true, boot: null, loads: false, next: wreck === null ? null : story.ending(wreck), worst: -1 });
    }
  });
  return stops;
};

/** The colour of a state: on trial, confirmed, given up. */
const INKS = { NEW: "weak", PENDING_VERIFY: "weak", VALID: "good", INVALID: "violation", ABORTED: "violation" };

const sameFate = (one, other) =>
  one.index === other.index && one.dark === other.dark && one.loads === other.loads && one.boot === other.boot &&
  one.next?.partition === other.next?.partition && one.states === other.states && !one.loads;

export class SlotsView {
  constructor(story) {
    this.story = story;
    this.canvas = document.getElementById("slots");
    this.still = document.createElement("canvas");
  }

  /** Draw the lanes of a path once; a stop is a line over them. */
  follow(path, line, colours) {
    Object.assign(this, { path, line, colours });
    // A download is long and dull: all of it takes no more room than a few of the operations that decide.
    const dull = line.map((here, stop) => stop > 0 && sameFate(line[stop - 1], here));
    const count = dull.filter(Boolean).length, rest = line.length - count;
    const weight = Math.min(1, Math.max(8, rest * 1.2) / Math.max(1, count));
    this.edges = [0];
    for (const each of dull) this.edges.push(this.edges.at(-1) + (each ? weight : 1));
    this.canvas.width = 0;
  }

  #size() {
    const width = this.canvas.clientWidth, ratio = devicePixelRatio || 1;
    const height = this.story.apps.length * LANE + FOOT;
    if (this.canvas.width === Math.round(width * ratio)) return { width, height, ratio };
    for (const canvas of [this.canvas, this.still]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.canvas.style.height = `${height}px`;
    this.#lanes(this.still.getContext("2d"), width, height, ratio);
    return { width, height, ratio };
  }

  #x(stop, width) {
    const low = Math.floor(stop), part = stop - low, { edges } = this;
    const at = edges[low] + part * ((edges[low + 1] ?? edges[low]) - edges[low]);
    return LABEL + (at / edges.at(-1)) * (width - LABEL);
  }

  #lanes(pen, width, height, ratio) {
    const { story, line, colours } = this;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    story.apps.forEach(({ label }, lane) => {
      const y = lane * LANE;
      pen.fillStyle = colours.muted;
      pen.fillText(label, 0, y + STRIP + BAR / 2, LABEL - 8);
      this.#states(pen, label, y, width);
      pen.fillStyle = colours.ground;
      pen.fillRect(LABEL, y + STRIP, width - LABEL, BAR);
      let from = 0;
      const kind = (stop) => (line[stop].dark ? "" : line[stop].loads ? "loads" : line[stop].boot?.runs === label ? `runs|${line[stop].boot.version}` : "");
      for (let stop = 1; stop <= line.length; stop++) {
        if (stop < line.length && kind(stop) === kind(from)) continue;
        const said = kind(from), x = this.#x(from, width), wide = this.#x(stop, width) - x;
        if (said === "loads") {
          pen.fillStyle = colours.program;
          pen.fillRect(x, y + STRIP + 7, wide, BAR - 14);
        } else if (said) {
          pen.fillStyle = colours.old;
          pen.fillRect(x, y + STRIP, wide, BAR);
          this.#within(pen, said.split("|")[1], x, wide, y + STRIP + BAR / 2 + 1, colours.onOld);
        }
        from = stop;
      }
      // Who would boot: a line below the lane.
      pen.fillStyle = colours.accent;
      for (let stop = 0; stop < line.length; stop++)
        if (line[stop].next?.partition === label) pen.fillRect(this.#x(stop, width), y + STRIP + BAR + 2, this.#x(stop + 1, width) - this.#x(stop, width) + 0.5, 3);
    });
    const foot = story.apps.length * LANE;
    line.forEach(({ dark }, stop) => {
      if (!dark) return;
      const x = this.#x(stop, width), wide = Math.max(2, this.#x(stop + 1, width) - x);
      pen.fillStyle = colours.violation;
      pen.fillRect(x, 0, wide, foot);
      pen.textAlign = x > width - 60 ? "right" : "left";
      pen.fillText("no power", x, foot + FOOT / 2);
      pen.textAlign = "left";
    });
  }

  /** Above a lane: the state of its slot, a line in its colour and its name. */
  #states(pen, label, y, width) {
    const { line, colours } = this;
    let from = 0;
    for (let stop = 1; stop <= line.length; stop++) {
      const state = line[from].states?.[label];
      if (stop < line.length && line[stop].states?.[label] === state) continue;
      if (state) {
        const x = this.#x(from, width), wide = this.#x(stop, width) - x;
        pen.fillStyle = colours[INKS[state] ?? "muted"];
        pen.fillRect(x, y, wide - 1, 3);
        pen.font = "10px system-ui, sans-serif";
        this.#within(pen, state, x - 5, wide + 4, y + 9, colours.ink);
        pen.font = "12px system-ui, sans-serif";
      }
      from = stop;
    }
  }

  #within(pen, text, x, wide, y, ink) {
    pen.save();
    pen.beginPath();
    pen.rect(x, y - LANE, wide - 4, 2 * LANE);
    pen.clip();
    pen.fillStyle = ink;
    pen.fillText(text, x + 6, y);
    pen.restore();
  }

  draw(stop) {
    const { width, height, ratio } = this.#size();
    const pen = this.canvas.getContext("2d"), { colours, line } = this;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.drawImage(this.still, 0, 0);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const x = this.#x(stop + 0.5, width);
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x, 0);
    pen.lineTo(x, height - FOOT + 4);
    pen.stroke();
    const here = line[stop];
    const runs = here.dark ? "No power." : here.loads ? "The bootloader works." : `Runs: ${runsWords(here.boot?.runs, here.boot?.version, here.boot?.state)}.`;
    const next = here.next ? ` If the power ${here.dark ? "comes back" : "went now"}: ${runsWords(here.next.partition, here.next.version, here.next.state)}.` : "";
    const states = Object.entries(here.states ?? {}).map(([slot, state]) => `${slot} is ${state}`).join(", ");
    const said = runs + next + (states ? ` otadata: ${states}.` : "");
    const words = document.getElementById("slots-words");
    if (words.textContent !== said) words.textContent = said;
    return said;
  }
}

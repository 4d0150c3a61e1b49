/** The flash at any stop of a path: made by doing the operations, kept every few of them. */

const EVERY = 32;

export class Film {
  /** `blank`: a flash as the story found it. */
  constructor(story, base) {
    this.story = story;
    this.base = base;
    this.reels = [];
    this.seen = [];
  }

  /** Follow another path; what it has in common with the one before stays. */
  follow(path) {
    const same = (segment, reel) => reel && reel.telling === segment.telling && reel.wreck === segment.wreck;
    let common = 0;
    while (common < path.segments.length && same(path.segments[common], this.reels[common])) {
      const reel = this.reels[common], { cut } = path.segments[common];
      common += 1;
      if (reel.cut !== (cut ? `${cut.operation}${cut.tear}` : "")) {
        reel.cut = cut ? `${cut.operation}${cut.tear}` : "";
        reel.dark?.drop();
        reel.dark = null;
        break;
      }
    }
    for (const reel of this.reels.splice(common)) {
      reel.dark?.drop();
      for (const frame of reel.frames) frame.drop();
    }
    this.path = path;
  }

  /** Forget everything. */
  drop() {
    this.follow({ segments: [] });
    for (const flash of this.seen) flash.drop();
    this.base.drop();
  }

  #reel(index) {
    if (this.reels[index]) return this.reels[index];
    const { telling, wreck, cut } = this.path.segments[index];
    const frame = index ? this.#dark(index - 1).fork() : this.base.fork();
    frame.power(true);
    return (this.reels[index] = { telling, wreck, cut: cut ? `${cut.operation}${cut.tear}` : "", frames: [frame], dark: null });
  }

  #do(flash, operation) {
    return operation.erases
      ? flash.erase(operation.address, operation.length)
      : flash.program(operation.address, this.story.bytes(operation));
  }

  /** A fork of the flash after `done` operations of the life at `index`. */
  #after(index, done) {
    const reel = this.#reel(index), { operations } = this.path.segments[index].told;
    while ((reel.frames.length) * EVERY <= done) {
      const next = reel.frames.at(-1).fork();
      for (let at = (reel.frames.length - 1) * EVERY; at < reel.frames.length * EVERY; at++) this.#do(next, operations[at]);
      reel.frames.push(next);
    }
    const near = Math.floor(done / EVERY);
    const flash = reel.frames[near].fork();
    for (let at = near * EVERY; at < done; at++) this.#do(flash, operations[at]);
    return flash;
  }

  /** The flash as the cut at the end of the life at `index` left it, without power. */
  #dark(index) {
    const reel = this.#reel(index);
    if (reel.dark) return reel.dark;
    const { cut, told } = this.path.segments[index];
    const flash = this.#after(index, cut.operation);
    const operation = told.operations[cut.operation];
    if (operation) {
      flash.arm(`cut@0${cut.tear}`);
      this.#do(flash, operation);
    }
    flash.power(false);
    return (reel.dark = flash);
  }

  /** The flash at a stop, what it was an operation before, and that operation; gone with the next look.
   *
   * The cells of a dark one are as power finds them.
   */
  at(stop) {
    const { index, segment, done, dark } = this.path.at(stop);
    for (const flash of this.seen) flash.drop();
    const operation = segment.told.operations[dark ? segment.cut.operation : done - 1] ?? null;
    const before = dark ? this.#after(index, done) : done ? this.#after(index, done - 1) : null;
    const flash = dark ? this.#dark(index).fork() : before ? before.fork() : this.#after(index, 0);
    flash.power(true);
    if (!dark && before) this.#do(flash, operation);
    this.seen = before ? [flash, before] : [flash];
    return { flash, before, operation, dark };
  }
}

/** Where the reader is: one life after another, each cut short or told to its end, and a stop on the line of all of them. */

/** `cut@37:torn-program+cut@3` as `[{operation, tear}]`; null when it is no plan of power cuts. */
export const parsed = (plan) => {
  const cuts = plan.split("+").map((part) => /^cut@(0|[1-9][0-9]*)((?::[a-z0-9/-]+)?)$/.exec(part));
  return cuts.every(Boolean) ? cuts.map(([, operation, tear]) => ({ operation: Number(operation), tear })) : null;
};

export class Path {
  /** `segments`: `{life, telling, wreck, cut}`; the first has no wreck. */
  constructor(story, segments) {
    this.story = story;
    this.segments = segments;
    let first = 0;
    for (const segment of segments) {
      segment.told = story.telling(segment.telling);
      segment.length = segment.cut ? segment.cut.operation : segment.told.operations.length;
      segment.first = first;
      first += segment.length + 1 + (segment.cut ? 1 : 0);
    }
    this.stops = first;
  }

  static start(story) {
    return new Path(story, [{ life: "story", telling: story.first, wreck: null, cut: null }]);
  }

  /** Which life a stop is in, how many operations of it are done, and whether the power is gone. */
  at(stop) {
    const index = Math.max(0, this.segments.findLastIndex((segment) => segment.first <= stop));
    const segment = this.segments[index];
    const done = Math.min(stop - segment.first, segment.length);
    return { index, segment, done, dark: stop - segment.first > segment.length };
  }

  /** The wreck that the life at `index` ended in; null when it was not cut, or nobody has looked. */
  wreckAfter(index) {
    const { told, cut } = this.segments[index];
    return cut && this.story.wreckOf(told, cut);
  }

  /** Pull the plug at a stop: what was to come does not. */
  cut(stop, tear) {
    const { index, segment, done } = this.at(stop);
    const kept = this.segments.slice(0, index);
    return new Path(this.story, [...kept, { ...segment, cut: { operation: done, tear } }]);
  }

  /** Power back after the last cut, and the device goes on so. Null when nobody has looked. */
  goOn(life) {
    const wreck = this.wreckAfter(this.segments.length - 1);
    if (wreck === null) return null;
    const telling = this.story.lives(wreck)[life];
    return telling === undefined ? null : new Path(this.story, [...this.segments, { life, telling, wreck, cut: null }]);
  }

  /** The last life in another way. */
  instead(life) {
    return new Path(this.story, this.segments.slice(0, -1)).goOn(life);
  }

  /** The line that `esp-ota sweep --replay` plays again; `""` where none does. */
  get plan() {
    const cuts = this.segments.filter((segment) => segment.cut);
    const behind = cuts.some(({ cut, told }) => cut.operation >= told.operations.length);
    const others = cuts.some(({ life }) => life !== "story");
    return behind || others ? "" : this.#cuts;
  }

  get #cuts() {
    return this.segments.filter((each) => each.cut).map(({ cut }) => `cut@${cut.operation}${cut.tear}`).join("+");
  }

  /** This state as an address. */
  fragment(stop) {
    const { story } = this;
    const parts = [`v=${story.format}`, `story=${story.name}`, `images=${story.images.map((image) => image.id).join("-")}`];
    if (this.#cuts) parts.push(`replay=${this.#cuts}`);
    if (this.segments.length > 1) parts.push(`then=${this.segments.slice(1).map((each) => each.life).join(",")}`);
    parts.push(`at=${stop}`);
    return parts.join("&");
  }

  /** The state that an address means: `{path, stop, trouble}`; with a trouble it is a story's start. `stories` are those
   * in the page; an address that names none is of `here`.
   */
  static from(stories, fragment, here = stories[0]) {
    let story = here, start = Path.start(story);
    const sorry = (trouble) => ({ path: start, stop: 0, trouble: `${trouble} Here is ${story.name} from its start.` });
    if (!fragment) return { path: start, stop: 0, trouble: "" };
    const said = Object.fromEntries(fragment.split("&").map((part) => {
      const [name, ...value] = part.split("=");
      let decoded = value.join("=");
      try { decoded = decodeURIComponent(decoded); } catch { /* as it stands */ }
      return [name, decoded];
    }));
    if (said.v !== undefined && said.v !== String(story.format))
      return sorry(/^[0-9]+$/.test(said.v) && Number(said.v) > story.format
        ? "This address is of a newer version of the page."
        : "This address is of another version of the page.");
    const meant = stories.find(({ name }) => name === said.story);
    if (said.story !== undefined && !meant) return sorry(`This address is of another story, ${said.story}.`);
    if (meant) [story, start] = [meant, Path.start(meant)];
    const images = story.images.map((image) => image.id).join("-");
    if (said.images !== undefined && said.images !== images) return sorry("This address is of other images.");
    const cuts = said.replay ? parsed(said.replay) : [];
    if (!cuts) return sorry(`${said.replay} is no replay line of power cuts.`);
    const lives = said.then ? said.then.split(",") : [];
    let path = start;
    for (const [number, { operation, tear }] of cuts.entries()) {
      const { told } = path.segments.at(-1);
      const count = told.operations.length;
      if (operation > count || (operation === count && tear))
        return sorry(`cut@${operation}${tear} is beyond the last of ${count} flash operations.`);
      const which = told.operations[operation];
      const way = tear === ":torn" ? (which.erases ? ":torn-erase" : ":torn-program") : tear;
      if (which && !which.tears.includes(way))
        return sorry(`cut@${operation}${tear} does not fit: operation ${operation} is ${which.erases ? "an erase" : "a program"}.`);
      path = path.cut(path.segments.at(-1).first + operation, way);
      const life = lives[number] ?? (number + 1 < cuts.length ? "story" : null);
      if (life === null) break;
      const on = path.goOn(life);
      if (!on) {
        const why = path.wreckAfter(number) === null ? "nobody booted that wreck when this page was made" : `it cannot go on by ${life}`;
        return sorry(`After cut@${operation}${tear}, ${why}.`);
      }
      path = on;
    }
    const stop = /^[0-9]+$/.test(said.at ?? "") ? Math.min(Number(said.at), path.stops - 1) : cuts.length ? path.stops - 1 : 0;
    return { path, stop, trouble: "" };
  }
}

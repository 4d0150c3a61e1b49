/** The page: one path, one stop on it, four views of that. */

import { bytesIn, text } from "teach/bytes";
import { FlashView, showImages } from "teach/cells";
import { ConsoleView } from "teach/console";
import { Core } from "teach/core";
import { EntriesView } from "teach/entries";
import { Film } from "teach/film";
import { judgeBy } from "teach/judge";
import { Path } from "teach/path";
import { PlainFlash } from "teach/plain";
import { SlotsView, slotStates, storyline } from "teach/slots";
import { Story } from "teach/story";
import { Tasks } from "teach/tasks";
import { Touch } from "teach/touch";
import { LIVES, TEARS, operationWords, runsWords } from "teach/words";

const $ = (id) => document.getElementById(id);
const made = (name, text, of = {}) => Object.assign(document.createElement(name), { textContent: text, ...of });
const still = matchMedia("(prefers-reduced-motion: reduce)");
const dusk = matchMedia("(prefers-color-scheme: dark)");
const THUMB = 22; // as the style sheet has it
const SECONDS = 8; // a whole story at play
const WORST = ["old", "new", "as_the_chip", "violation"];

const colours = () => {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const names = ["ink", "muted", "accent", "ground", "line", "old", "new", "as_the_chip", "violation", "program", "good", "one", "zero", "fell", "rose", "weak"];
  return { ...Object.fromEntries(names.map((name) => [name, of(name)])), onOld: of("on-old") };
};

class Page {
  constructor(stories, core) {
    this.stories = stories;
    this.core = core;
    this.inks = colours();
    this.console = new ConsoleView();
    this.touch = new Touch(core, () => this.go(this.stop));
    this.tasks = new Tasks(core, () => this.state);
    this.playing = 0;
  }

  /** Another story: its flash from the factory on, and views of that. */
  tell(story) {
    if (this.story === story) return;
    this.film?.drop();
    this.story = story;
    const base = this.core ? this.core.flash(story.size) : new PlainFlash(story.size);
    for (const [address, place, length] of story.base) base.program(address, story.blob.subarray(place, place + length));
    if (story.crypt) base.encrypt(...story.crypt);
    this.film = new Film(story, base);
    this.flash = new FlashView(story, this.inks);
    this.flash.paint(this.inks);
    this.entries = new EntriesView(story);
    this.slots = new SlotsView(story);
    this.touch.follow(story);
    document.title = `Pull the plug: ${story.name}`;
    $("story-name").textContent = story.name;
    $("story-text").textContent = story.text;
    $("stories").value = story.name;
    $("engines").textContent = enginesWords(this.core, story);
  }

  // ------------------------------------------------------------------------------------------------------ where we are

  /** Another path; the stop is on it. */
  follow(path, stop) {
    this.path = path;
    this.line = storyline(this.story, path);
    this.film.follow(path);
    slotStates(this.story, path, this.film).forEach((states, at) => { this.line[at].states = states; });
    this.slots.follow(path, this.line, this.inks);
    this.console.follow(path);
    $("slider").max = path.stops - 1;
    this.#fate();
    this.go(stop);
  }

  /** A stop of this path. Many of them in one frame are drawn once. */
  go(stop) {
    this.stop = Math.max(0, Math.min(this.path.stops - 1, stop));
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const { path, stop, story } = this;
    const moment = this.film.at(stop), read = () => (story.otadata === null ? null : moment.flash.otadata(story.otadata));
    const before = read();
    this.touch.apply(moment.flash, path.fragment(stop));
    this.flash.draw(moment);
    const otadata = this.touch.done.length ? read() : before;
    this.entries.draw(otadata);
    const words = this.slots.draw(stop);
    this.console.draw(stop);
    this.#desk(path.at(stop), words);
    if (this.focus) $("power").querySelector(this.focus)?.focus();
    this.focus = null;
    this.shown = { stop, otadata, before, words, flash: moment.flash }; // for whoever looks from outside
    clearTimeout(this.settled);
    this.settled = setTimeout(() => this.#settle(), 200);
  }

  /** What waits until the hand rests: the address, and the words for who listens. */
  #settle() {
    const { path, stop } = this;
    showImages(this.story, this.shown.flash);
    this.tasks.look(this.state);
    const address = `#${path.fragment(stop)}`;
    if (location.hash !== address) history.replaceState(null, "", address);
    $("link").href = address;
    const said = `${$("slider").getAttribute("aria-valuetext")}. ${this.shown.words}`;
    if ($("said").textContent !== said) $("said").textContent = said;
  }

  /** What the tasks ask about. */
  get state() {
    const { story, path, stop, touch, line, shown } = this, boot = touch.draw();
    return { story, path, stop, touch, boot, untouched: touch.untouched ?? boot, flash: shown.flash, otadata: shown.otadata, before: shown.before,
      runs: line[stop].loads ? null : line[stop].boot, said: this.console.until(stop) };
  }

  #desk({ index, segment, done, dark }, words) {
    const { path, story } = this, { told, cut } = segment;
    const next = told.operations[done] ?? null;
    $("slider").value = this.stop;
    const life = index ? `life ${index + 1}, ` : "";
    $("count").textContent = dark ? `The power went at operation ${cut.operation} of ${told.operations.length}.` : `${done} of ${told.operations.length} operations done${index ? ` in life ${index + 1}` : ""}.`;
    const shown = dark ? told.operations[cut.operation] : next;
    const end = dark ? "after the last operation" : segment.life === "story" ? "The story is told." : "It goes on like this.";
    const { place, why } = shown ? operationWords(story, shown) : { place: "", why: end };
    $("place").textContent = place;
    $("doing").textContent = dark && shown ? `${TEARS[cut.tear][0]}: ${TEARS[cut.tear][1]}` : shown ? `comes next: ${why}` : why;
    $("slider").setAttribute("aria-valuetext", `${life}${$("count").textContent} ${place} ${$("doing").textContent}`);
    this.#tears(dark ? null : next, dark);
    this.#lives(index, dark, done);
    this.#verdict(index, dark, words);
    document.body.classList.toggle("dark-device", dark);
    $("replay").textContent = path.plan
      ? `${story.command || `esp-ota sweep OLD.bin NEW.bin --story ${story.name}`} --replay ${path.plan}`
      : path.segments.some(({ cut }) => cut) ? "none: the replay line knows cuts within a story that is told again" : "pull the plug, and it stands here";
  }

  #tears(next, dark) {
    $("plug").hidden = dark;
    const tears = next ? next.tears : [""], key = tears.join();
    if ($("tear").dataset.key !== key) {
      const chosen = $("tear").value;
      $("tear").dataset.key = key;
      $("tear").replaceChildren(...tears.map((tear) => made("option", next ? TEARS[tear][0] : "after the last operation", { value: tear })));
      if (tears.includes(chosen)) $("tear").value = chosen;
    }
    $("tear-why").textContent = dark ? "" : next ? TEARS[$("tear").value][1] : "";
  }

  #lives(index, dark, done) {
    const { path } = this, group = $("power");
    const wreck = dark ? path.wreckAfter(index) : index ? path.segments[index].wreck : undefined;
    const continued = path.segments[index + 1];
    const key = `${path.segments.length}|${index}|${dark}|${wreck}|${path.segments[index].life}|${Boolean(continued)}`;
    if (group.dataset.key === key) return;
    group.dataset.key = key;
    if (wreck === undefined) return group.replaceChildren();
    if (wreck === null) {
      return group.replaceChildren(made("p", "Nobody booted this wreck when the page was made: `esp-ota sweep --replay` does.", { className: "hint" }));
    }
    const button = (text, act, of = {}) => {
      const one = made("button", text, { type: "button", ...of });
      one.addEventListener("click", act);
      return one;
    };
    if (dark) {
      return group.replaceChildren(button("Power back", () => this.powerBack(), { className: "power" }));
    }
    const { life } = path.segments[index];
    group.replaceChildren(made("span", "After its boot:", { className: "hint" }), ...Object.keys(this.story.lives(wreck)).map((name) => {
      const one = button(LIVES[name][0], () => this.live(name), { title: LIVES[name][1] });
      one.setAttribute("aria-pressed", String(name === life));
      return one;
    }));
  }

  #verdict(index, dark) {
    const wreck = dark ? this.path.wreckAfter(index) : index ? this.path.segments[index].wreck : null;
    const place = $("fate-words");
    if (dark || wreck === null) {
      place.textContent = "";
      place.className = "verdict";
      return;
    }
    const { outcome, meaning, why, partition, version, state } = this.story.ending(wreck);
    place.className = `verdict ${outcome}`;
    place.replaceChildren(made("i", "", { className: `swatch ${outcome}` }), `${outcome.replaceAll("_", " ")}: ${why || meaning}. Booted first: ${runsWords(partition, version, state)}.`);
  }

  /** The fate of a cut at each stop, above the slider. */
  #fate() {
    const canvas = $("fate"), width = canvas.clientWidth, height = 14, ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d"), count = Math.max(1, this.line.length - 1), step = (width - THUMB) / count;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.line.forEach(({ worst, dark }, stop) => {
      const x = THUMB / 2 + (stop - 0.5) * step;
      pen.fillStyle = dark ? this.inks.ink : worst < 0 ? this.inks.line : this.inks[WORST[worst]];
      pen.fillRect(x, dark ? 0 : 4, Math.max(1, step - (step > 4 ? 1 : 0)), dark ? height : height - 4);
    });
  }

  // ------------------------------------------------------------------------------------------------------ what one does

  pull() {
    if (this.path.at(this.stop).dark) return;
    this.pause();
    const path = this.path.cut(this.stop, $("tear").value);
    this.follow(path, path.stops - 1);
    this.focus = "button";
  }

  powerBack() {
    const { index, dark } = this.path.at(this.stop);
    if (!dark) return;
    if (this.path.segments[index + 1]) return this.go(this.path.segments[index + 1].first);
    const path = this.path.goOn("boot");
    if (path) this.follow(path, path.stops - 1);
    this.focus = "[aria-pressed=true]";
  }

  /** The life that the stop is in, in another way; it plays from the end of its boot. */
  live(life) {
    const { index } = this.path.at(this.stop);
    if (!index) return;
    const path = new Path(this.story, this.path.segments.slice(0, index)).goOn(life);
    if (!path) return;
    const { first, told } = path.segments.at(-1);
    this.follow(path, still.matches ? path.stops - 1 : first + (told.boots[0]?.end ?? 0));
    this.focus = "[aria-pressed=true]";
    if (!still.matches) this.play();
  }

  play() {
    this.pause();
    let last = performance.now(), owed = 0;
    const rate = Math.max(6, this.path.stops / SECONDS);
    const step = (now) => {
      owed += ((now - last) / 1000) * rate;
      last = now;
      const whole = Math.floor(owed);
      owed -= whole;
      if (whole) this.go(this.stop + whole);
      if (this.stop >= this.path.stops - 1) return this.pause();
      this.playing = requestAnimationFrame(step);
    };
    $("play").textContent = "❚❚";
    $("play").setAttribute("aria-label", "Pause");
    this.playing = requestAnimationFrame(step);
  }

  pause() {
    cancelAnimationFrame(this.playing);
    this.playing = 0;
    $("play").textContent = "▶▶";
    $("play").setAttribute("aria-label", "Play");
  }

  open(fragment) {
    const { path, stop, trouble } = Path.from(this.stories, fragment, this.story);
    $("trouble").textContent = trouble;
    this.pause();
    this.tell(path.story);
    this.follow(path, stop);
  }

  listen() {
    $("slider").addEventListener("input", () => { this.pause(); this.go($("slider").valueAsNumber); });
    $("back").addEventListener("click", () => { this.pause(); this.go(this.stop - 1); });
    $("on").addEventListener("click", () => { this.pause(); this.go(this.stop + 1); });
    $("play").addEventListener("click", () => {
      if (this.playing) return this.pause();
      if (this.stop >= this.path.stops - 1) this.go(0);
      this.play();
    });
    $("pull").addEventListener("click", () => this.pull());
    $("tear").addEventListener("change", () => this.go(this.stop));
    $("again").addEventListener("click", () => this.open(""));
    $("stories").addEventListener("change", () => this.open(`story=${$("stories").value}`));
    $("slider").addEventListener("keydown", (event) => {
      const act = { p: () => this.pull(), o: () => this.powerBack(), y: () => this.live("yes"), n: () => this.live("no") }[event.key];
      if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      act();
    });
    addEventListener("hashchange", () => {
      const fragment = location.hash.slice(1);
      if (fragment !== this.path.fragment(this.stop)) this.open(fragment);
    });
    const again = () => {
      this.inks = colours();
      this.flash.paint(this.inks);
      this.slots.follow(this.path, this.line, this.inks);
      this.#fate();
      this.go(this.stop);
    };
    addEventListener("resize", again);
    dusk.addEventListener("change", again);
  }
}

const enginesWords = (core, { wrecks, depth, whole }) => {
  const deep = depth < 2 ? "What a second cut leaves is not among them."
    : whole ? "Whatever a cut leaves, and a second one after it, is among them." : "Whatever one cut leaves is among them, of second cuts a part.";
  const boots = `Boots and apps: recorded, not calculated here. ${wrecks.length} different wrecks of this story were booted by py_esp_ota's bootloader model when this page was made. ${deep}`;
  return core
    ? `Flash, torn cells, otadata, images, and what boots of a flash that you have touched: the Rust core of py_esp_ota, as WebAssembly in this page. ${boots}`
    : `This page was made without the Rust core: its flash knows whole operations only, torn cells are not shown, no image is judged. ${boots}`;
};

const [data, blob, wasm] = await Promise.all(["data", "blob", "wasm"].map(bytesIn));
const { format, stories: told } = JSON.parse(text(data));
const stories = told.map((each) => new Story({ ...each, format }, blob));
const core = wasm.length ? await Core.load(wasm) : null;
$("stories").replaceChildren(...stories.map(({ name, text: what }) => made("option", `${name}: ${what}`, { value: name })));
$("choice").hidden = stories.length < 2;
$("main").hidden = false;
const page = new Page(stories, core);
judgeBy(core, stories[0].errors);
page.listen();
page.open(location.hash.slice(1));
globalThis.teach = { page, core, stories, story: stories[0], Path };

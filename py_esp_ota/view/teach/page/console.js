/** What the chip has printed up to a stop. */

export class ConsoleView {
  constructor() {
    this.pre = document.getElementById("console");
    this.shown = -1;
  }

  /** All lines of a path; a stop shows the first so many. */
  follow(path) {
    this.lines = [];
    this.counts = [];
    path.segments.forEach((segment, index) => {
      const { told, length, cut } = segment;
      if (index) this.lines.push({ text: "── power back ──", kind: "power" });
      const start = this.lines.length;
      const heard = told.lines.filter(({ at }) => at <= length);
      this.lines.push(...heard.map(({ text }) => ({ text, kind: /^[EW] \(/.test(text) ? text[0] : "" })));
      let count = 0;
      for (let done = 0; done <= length; done++) {
        while (count < heard.length && heard[count].at <= done) count++;
        this.counts.push(start + count);
      }
      if (!cut && told.trouble) this.lines.push({ text: told.trouble, kind: "E" });
      if (!cut && told.trouble) this.counts[this.counts.length - 1] += 1;
      if (cut) {
        this.lines.push({ text: "── no power ──", kind: "power" });
        this.counts.push(this.lines.length);
      }
    });
    this.pre.replaceChildren(...this.lines.map(({ text, kind }) => {
      const line = document.createElement("span");
      line.className = `line ${kind}`;
      line.textContent = `${text}\n`;
      return line;
    }));
    this.shown = this.lines.length;
  }

  /** What was printed until then. */
  until(stop) {
    return this.lines.slice(0, this.counts[stop]).map(({ text }) => text);
  }

  draw(stop) {
    const count = this.counts[stop], all = this.pre.children;
    if (count === this.shown) return;
    for (let at = Math.min(count, this.shown); at < Math.max(count, this.shown); at++) all[at].hidden = at >= count;
    this.shown = count;
    this.pre.scrollTop = this.pre.scrollHeight;
  }
}

/** Both otadata entries as cards. */

import { hex } from "teach/bytes";
import { entriesWords } from "teach/words";

const made = (name, className, text = "") => Object.assign(document.createElement(name), { className, textContent: text });

export class EntriesView {
  constructor(story) {
    this.story = story;
    this.shown = "";
    this.cards = [0, 1].map((number) => {
      const card = made("article", "card");
      const title = made("h3", "", `Entry ${number}`);
      const place = made("code", "place", story.otadata === null ? "" : hex(story.otadata + number * 4096));
      const list = made("dl", "");
      const fields = Object.fromEntries(["Sequence", "Slot", "State", "CRC"].map((name) => {
        const value = made("dd", "");
        list.append(made("dt", "", name), value);
        return [name, value];
      }));
      const why = made("p", "why");
      title.append(" ", place);
      card.append(title, list, why);
      return { card, fields, why };
    });
    document.getElementById("cards").replaceChildren(...this.cards.map(({ card }) => card));
  }

  draw(otadata) {
    const decides = document.getElementById("decides");
    if (!otadata) {
      decides.textContent = this.story.otadata === null
        ? "The partition table has no otadata."
        : "Without the core this page cannot take the entries apart.";
      document.getElementById("cards").hidden = true;
      return;
    }
    const key = JSON.stringify(otadata);
    if (key === this.shown) return;
    this.shown = key;
    const { why, both, state, blank } = entriesWords(this.story, otadata);
    otadata.entries.forEach((entry, number) => {
      const { card, fields, why: line } = this.cards[number], empty = blank(entry);
      card.classList.toggle("active", otadata.active === number);
      card.classList.toggle("blank", empty);
      fields.Sequence.textContent = empty ? "–" : entry.seq === 0xffffffff ? hex(entry.seq, 8) : entry.seq;
      fields.Slot.textContent = empty || entry.seq === 0xffffffff ? "–" : this.story.slotOf(entry.seq) ?? "none";
      fields.State.textContent = empty ? "–" : state(entry);
      fields.State.dataset.state = empty ? "" : state(entry);
      fields.CRC.textContent = empty ? "–" : `${hex(entry.crc, 8)} ${entry.crc_ok ? "✓ fits" : "✗ does not fit"}`;
      fields.CRC.className = empty ? "" : entry.crc_ok ? "good" : "bad";
      line.textContent = why[number];
    });
    decides.textContent = both;
  }
}

/** The tasks of the lessons: each looks at what the reader has made, and asks the core or what was recorded. */

const OTA = 0x10, NEED = 900 * 1024, FLASH = 2 << 20;
const INVALID = 3, VALID = 2;
const WANTED = ["PENDING_VERIFY", "VALID", "INVALID", "ABORTED"];

const not = (say = "Not yet.") => ({ done: false, say });
const yes = (say) => ({ done: true, say: `Done. ${say}` });

const nor = ({ touch, boot, untouched }) => {
  const [only] = touch.done;
  if (!only || !untouched?.boots) return not();
  if (touch.done.length > 1 || only.erases || only.bytes.length > 1) return not("Not yet: one byte, and no erase.");
  return boot.boots ? not(`Not yet: ${boot.boots} boots.`) : yes(boot.table ?? "No image is left that loads.");
};

const image = ({ touch, flash, story }) => {
  if (!touch.done.length) return not();
  for (const { label, offset, size } of story.apps) {
    const mine = touch.done.some(({ at }) => offset <= at && at < offset + size), { faults } = flash.inspect(offset, size);
    if (!mine || !faults.length) continue;
    const fields = faults.map(({ field }) => field);
    return fields.every((field) => field === "hash") ? yes(`In ${label} the hash alone says no.`) : not(`Not yet: in ${label} ${fields.join(" and ")} noticed.`);
  }
  return not("Not yet: nobody notices anything.");
};

const table = ({ core, answer }) => {
  let rows;
  try {
    rows = core.table(answer);
  } catch (error) {
    return not(`Not yet: ${error.message}.`);
  }
  const slots = rows.filter(({ type, subtype }) => type === 0 && subtype >= OTA && subtype < 2 * OTA);
  const end = Math.max(0, ...rows.map(({ offset, size }) => offset + size));
  const small = slots.find(({ size }) => size < NEED);
  if (!rows.some(({ type, subtype }) => type === 1 && subtype === 0)) return not("Not yet: there is no otadata to say which slot is booted.");
  if (slots.length < 2) return not(`Not yet: an update is written beside what runs, and there is ${slots.length ? "one slot" : "no slot"}.`);
  if (small) return not(`Not yet: ${small.label} has ${Math.floor(small.size / 1024)} KiB.`);
  return end > FLASH ? not(`Not yet: it ends at ${end.toLocaleString("en")} bytes, the flash at ${FLASH.toLocaleString("en")}.`) : yes("It fits, and it can be updated.");
};

const otadata = ({ touch, boot, before, story }) => {
  const given = before?.entries.find(({ state, crc_ok }) => state === INVALID && crc_ok);
  if (!given || !touch.done.length) return not();
  if (touch.done.some(({ erases }) => erases)) return not("Not yet: you have no erase.");
  const slot = story.slotOf(given.seq);
  return boot.boots === slot && boot.start === slot ? yes(`The bootloader begins with ${slot}, and nobody calculated a CRC.`) : not(`Not yet: ${boot.boots ?? "nothing"} boots.`);
};

const life = ({ story, otadata: now }, seen) => {
  for (const { state, crc_ok } of now?.entries ?? []) if (crc_ok && story.states[state]) seen.add(story.states[state]);
  const missing = WANTED.filter((state) => !seen.has(state));
  return missing.length ? not(`Not yet: ${missing.join(", ")}.`) : yes("PENDING_VERIFY, VALID, INVALID, ABORTED: you have seen an update in all of them.");
};

const ended = ({ path, stop }) => {
  const last = path.segments.at(-1);
  return path.segments.some(({ cut }) => cut) && !last.cut && stop === path.stops - 1 ? last : null;
};

const lost = (state) => {
  const last = ended(state);
  if (!last || ["no", "back"].includes(last.life)) return not();
  const { version } = state.runs ?? {};
  return version === state.story.images[0].version ? yes(`It worked, and ${version} runs.`) : not(`Not yet: ${version ?? "nothing"} runs.`);
};

const locked = ({ touch, boot, story }) => {
  if (!story.anti_rollback || touch.done.length || boot.boots) return not();
  const { fuse } = touch;
  return fuse && touch.boot(fuse - 1).boots ? yes(`At ${fuse} nothing boots, at ${fuse - 1} something did.`) : not("Not yet: a smaller number does it, too.");
};

const unheard = (state) => {
  const last = ended(state), { runs, story, said } = state;
  if (!last || last.life !== "story") return not();
  const valid = state.otadata?.entries[state.otadata.active]?.state === VALID;
  if (runs?.version !== story.images[1].version || !valid) return not("Not yet: the new version does not run confirmed.");
  return said.some((line) => line.includes('"status":"success"')) ? not("Not yet: the cloud heard success.") : yes("It runs, confirmed, and the job waits for ever.");
};

const CHECKS = {
  nor, image, "partition-table": table, otadata, "the-life-of-a-slot": life, "who-confirms": lost, "anti-rollback": locked,
  "the-whole-job": unheard,
};

export class Tasks {
  /** `look` tells the state that the reader is in. */
  constructor(core, look) {
    this.core = core;
    this.places = [...document.querySelectorAll(".task")];
    this.seen = new Set();
    for (const field of document.querySelectorAll("textarea[id^=answer-]")) field.addEventListener("input", () => this.look(look()));
  }

  /** Whether anything that was asked for is there now. What was done once stays done. */
  look(state) {
    for (const place of this.places) {
      const { task, within } = place.dataset, answers = document.getElementById(`answer-${task}`);
      if (place.classList.contains("done")) continue;
      if (!this.core) { place.textContent = "The core is not in this page: nobody can tell."; continue; }
      if (within && within !== state.story.name) continue;
      const { done, say } = CHECKS[task]({ ...state, core: this.core, answer: answers?.value ?? "" }, this.seen);
      place.classList.toggle("done", done);
      if (place.textContent !== say) place.textContent = say;
    }
  }
}

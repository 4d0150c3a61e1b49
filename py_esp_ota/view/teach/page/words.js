/** Everything the page says in sentences. */

import { hex } from "teach/bytes";

const STATES_WRITTEN = {
  NEW: "esp_ota_set_boot_partition chooses a slot: its entry is NEW",
  PENDING_VERIFY: "the bootloader gives a NEW app one boot: PENDING_VERIFY",
  VALID: "esp_ota_mark_app_valid_cancel_rollback: the app confirms itself, VALID",
  INVALID: "esp_ota_mark_app_invalid_rollback: the app rejects itself, INVALID",
  ABORTED: "the bootloader finds a trial that nobody confirmed: ABORTED",
  UNDEFINED: "an entry in state UNDEFINED: nobody tracks this app",
};

/** The two bytes of each word that tell a state, when an entry is programmed in the clear. */
const stateWritten = (story, operation) => {
  if (operation.erases || operation.length !== 32 || story.crypt) return null;
  const bytes = story.bytes(operation);
  return story.states[new DataView(bytes.buffer, bytes.byteOffset).getUint32(24, true)] ?? null;
};

/** What an operation does: `erase 0x00d000`, and why. */
export const operationWords = (story, operation) => {
  const { address, length } = operation;
  const place = operation.erases ? `erase ${hex(address)}` : `program ${hex(address)}..${hex(address + length - 1)}`;
  const row = story.partitionAt(address);
  if (!row) return { place, why: "outside every partition" };
  const within = address - row.offset;
  if (row.offset === story.otadata) {
    const entry = within >= 4096 ? 1 : 0;
    if (operation.erases) return { place, why: `otadata entry ${entry} is erased before it is written anew: for a moment it is not there` };
    const state = stateWritten(story, operation);
    return { place, why: `otadata entry ${entry}: ${STATES_WRITTEN[state] ?? "written"}` };
  }
  if (row.type === 0) {
    const kib = `${row.label} + ${within >= 1024 ? `${Math.floor(within / 1024)} KiB` : `${within} bytes`}`;
    return { place, why: operation.erases ? `${kib}: a sector is erased for the image to come` : `${kib}: esp_ota_write puts down ${length} bytes of the image` };
  }
  return { place, why: `${row.label}: ${operation.erases ? "a sector is erased" : `${length} bytes are written`}` };
};

export const TEARS = {
  "": ["before it", "the operation is not begun"],
  ":after": ["right after it", "the operation is done, and nothing that follows"],
  ":torn-program": ["the first half is written", "the second half of the bytes is as before"],
  ":tail-program": ["the last half is written", "the first half of the bytes is as before"],
  ":bits-program": ["some bits are written", "of the bits that were to fall some have"],
  ":weak-program": ["weak bits", "the falling bits read now 0, now 1, until the power has gone once more"],
  ":torn-program/4": ["sequence number only", "the first 4 of 32 bytes are written"],
  ":torn-program/28": ["all but the CRC", "28 of 32 bytes are written: sequence, label, state"],
  ":torn-program/30": ["half of the CRC", "30 of 32 bytes are written"],
  ":torn-erase": ["the first half is erased", "the second half of the sector is as before"],
  ":bits-erase": ["some bits are erased", "of the bits that were to rise some have"],
  ":zero-erase": ["all bits are 0", "an erase programs its cells first; the power went then"],
  ":weak-erase": ["weak bits", "the rising bits read now 0, now 1, until the power has gone once more"],
};

export const LIVES = {
  boot: ["Wait", "the app runs, and nobody confirms it"],
  yes: ["Self-test: yes", "the app confirms itself: esp_ota_mark_app_valid_cancel_rollback"],
  no: ["Self-test: no", "the app rejects itself: esp_ota_mark_app_invalid_rollback_and_reboot"],
  back: ["Roll back", "the app rejects itself though it was content: esp_ota_mark_app_invalid_rollback_and_reboot"],
  story: ["Go on", "the story is told again from here, as a device would after a power cut"],
};

/** Which entry is active, and why: a sentence for each of the two, and one for both. */
export const entriesWords = (story, { active, entries }) => {
  const state = (entry) => story.states[entry.state] ?? hex(entry.state, 8);
  const blank = (entry) => /^(ff)*$/.test(entry.bytes);
  const valid = (entry) => !entry.invalid && entry.crc_ok;
  const why = entries.map((entry, number) => {
    if (blank(entry)) return "Blank: there is no entry here.";
    if (entry.seq === 0xffffffff) return "Its sequence reads as blank: it does not count.";
    if (entry.invalid) return `Never chosen: its state is ${state(entry)}.`;
    if (!entry.crc_ok) return "Does not count: the CRC does not fit the sequence.";
    const other = entries[1 - number];
    if (active === number)
      return valid(other)
        ? other.seq === entry.seq ? "Active: of two equal sequences the first counts." : "Active: its sequence is the larger one."
        : "Active: it is the only valid entry.";
    return "Valid, but the other entry has the larger sequence.";
  });
  const factory = story.apps.find((row) => row.subtype === 0)?.label;
  const none = factory ? `No entry is valid: the bootloader falls back to ${factory}.` : "No entry is valid: the bootloader tries the slots in turn.";
  const both = active === null ? none
    : `Entry ${active} decides: sequence ${entries[active].seq} names ${story.slotOf(entries[active].seq) ?? "no slot"}.`;
  return { why, both, state, blank };
};

/** What runs: `1.1.0 from ota_0, VALID`. */
export const runsWords = (label, version, state) =>
  label ? `${version || "an app without a description"} from ${label}${state ? `, ${state}` : ""}` : "nothing boots";

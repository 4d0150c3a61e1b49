/** A reader's own image: read here, judged here, told here. Nothing leaves the page. */

import { hex } from "teach/bytes";

const LARGEST = 16 << 20; // an app's slot is never larger
const STARTS = [
  [[0x50, 0x4b, 0x03, 0x04], "This is a ZIP archive: unpack it, and drop the .bin that is in it."],
  [[0x89, 0x50, 0x4e, 0x47], "This is a PNG picture, not a firmware image."],
  [[0x7f, 0x45, 0x4c, 0x46], "This is an ELF file: esptool's elf2image makes a .bin of it."],
  [[0x1f, 0x8b], "This is packed with gzip: unpack it first."],
  [[0xaa, 0x50, 0x01], "This is a partition table, not a firmware image."],
];

/** Why bytes are not even looked at; `""` when they are. */
export const refusal = (size, start) => {
  if (size === 0) return "The file is empty.";
  if (size > LARGEST) return `The file has ${size.toLocaleString("en")} bytes; an app has no more than ${LARGEST.toLocaleString("en")}.`;
  const known = STARTS.find(([bytes]) => bytes.every((byte, at) => start[at] === byte));
  return known ? known[1] : "";
};

const made = (name, text = "", className = "") => Object.assign(document.createElement(name), { textContent: text, className });

const facts = (rows) => {
  const list = made("dl");
  for (const [name, value] of rows) if (value !== null && value !== "") list.append(made("dt", name), made("dd", String(value)));
  return list;
};

/** What an image is, as elements. */
const told = (info, errors, name) => {
  const desc = info.app_desc;
  const what = info.kind === "unknown" ? "No firmware image" : `${info.kind === "app" ? "An app" : "A bootloader"}${info.chip ? ` for ${info.chip}` : ""}`;
  const head = made("p", `${name}: ${what}, ${info.valid ? "sound." : `broken: ${errors[info.err] ?? info.err}.`}`, info.valid ? "sound" : "broken");
  const parts = [head, facts([
    ["Project", desc && `${desc.project_name} ${desc.version}`],
    ["ESP-IDF", desc?.idf_ver ?? null],
    ["Length", `${info.length.toLocaleString("en")} bytes${info.trailing ? `, and ${info.trailing.toLocaleString("en")} behind it` : ""}`],
    ["Checksum", info.checksum.stored === null ? "not reached" : `${hex(info.checksum.stored, 2)} ${info.checksum.valid ? "✓" : `✗ calculated ${hex(info.checksum.calculated, 2)}`}`],
    ["SHA-256", info.hash.valid === null ? "none appended" : info.hash.valid ? "✓ fits" : "✗ does not fit"],
  ])];
  if (info.segments.length) {
    const table = made("table", "", "segments"), head = made("thead"), body = made("tbody"), top = made("tr");
    for (const title of ["Segment", "Address", "Bytes", "In the file"]) top.append(Object.assign(made("th", title), { scope: "col" }));
    info.segments.forEach((segment, number) => {
      const line = made("tr");
      for (const cell of [number, hex(segment.load_addr, 8), segment.length.toLocaleString("en"), hex(segment.offset)]) line.append(made("td", String(cell)));
      body.append(line);
    });
    head.append(top);
    table.append(head, body);
    parts.push(table);
  }
  if (info.faults.length) {
    const list = made("ul", "", "faults");
    for (const fault of info.faults) list.append(made("li", `${fault.field} at ${hex(fault.offset)}: found ${fault.found}, expected ${fault.expected}`));
    parts.push(list);
  }
  return parts;
};

export const judgeBy = (core, errors) => {
  const place = document.getElementById("judge"), verdict = document.getElementById("verdict"), input = document.getElementById("file");
  const say = (...parts) => verdict.replaceChildren(...parts);
  const look = async (file) => {
    if (!file) return;
    try {
      const start = new Uint8Array(await file.slice(0, 16).arrayBuffer());
      const refused = refusal(file.size, start);
      if (refused) return say(made("p", `${file.name}: ${refused}`, "broken"));
      say(...told(core.inspect(new Uint8Array(await file.arrayBuffer())), errors, file.name));
    } catch (error) {
      say(made("p", `${file.name} cannot be read: ${error.message}`, "broken"));
    }
  };
  if (!core) {
    input.disabled = true;
    say(made("p", "The core is not in this page: it was made without WebAssembly, and judges no images.", "broken"));
    return;
  }
  input.addEventListener("change", () => look(input.files[0]));
  place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("over"); });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    look(event.dataTransfer.files[0]);
  });
  // A file that misses the place must not replace the page.
  for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
};

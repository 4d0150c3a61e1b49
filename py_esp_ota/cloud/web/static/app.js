// What htmx and CSS cannot do. Every page works without this file, only less comfortably.
"use strict";

// The upload: a frame that lights up under a dragged file, and no pointless transfer of a file that is too large.
const drop = document.querySelector(".drop");
if (drop) {
  const form = drop.closest("form");
  const limit = Number(form.dataset.limit);
  for (const name of ["dragenter", "dragover"]) drop.addEventListener(name, () => drop.classList.add("over"));
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.querySelector("input").addEventListener("change", (event) => {
    const file = event.target.files[0];
    drop.classList.toggle("filled", Boolean(file));
    if (file && file.size <= limit) return;
    event.stopImmediatePropagation(); // before htmx, which listens to the same element later
    const preview = document.getElementById("preview");
    preview.replaceChildren();
    if (!file) return;
    const message = document.createElement("div");
    message.className = "banner tone-failed";
    message.setAttribute("role", "alert");
    message.textContent =
      `${file.name} has ${file.size.toLocaleString("en")} bytes. ` +
      `An image has at most ${limit / 2 ** 20} MiB (${limit.toLocaleString("en")} bytes).`;
    preview.append(message);
  }, { capture: true });
}

// Start OTA: filter, tick many, count, and no ticking while all nodes are meant.
const picker = document.getElementById("nodes");
if (picker) {
  const boxes = [...picker.querySelectorAll("tbody input")];
  const row = (box) => box.closest("tr");
  const refresh = () => {
    const all = picker.querySelector("[name=target][value=all]").checked;
    picker.classList.toggle("all", all);
    const ticked = boxes.filter((box) => box.checked).length;
    document.getElementById("ticked").textContent = all ? "all nodes" : `${ticked} ticked`;
  };
  picker.addEventListener("change", (event) => {
    if (event.target.name === "nodes") picker.querySelector("[name=target][value=nodes]").checked = true;
    refresh();
  });
  picker.addEventListener("click", (event) => {
    const what = event.target.dataset.tick;
    if (!what) return;
    for (const box of boxes) if (!row(box).hidden) box.checked = what === "online" && "online" in box.dataset;
    picker.querySelector("[name=target][value=nodes]").checked = true;
    refresh();
  });
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const box of boxes) row(box).hidden = !row(box).textContent.toLowerCase().includes(wanted);
  });
  filter.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  refresh();
}

document.documentElement.classList.add("scripted");

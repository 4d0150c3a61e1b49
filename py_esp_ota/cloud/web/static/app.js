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
    if (file && !event.target.hasAttribute("hx-post")) drop.querySelector("strong").textContent = file.name;
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
      `${form.dataset.what ?? "An image"} has at most ${limit / 2 ** 20} MiB (${limit.toLocaleString("en")} bytes).`;
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
    picker.dispatchEvent(new Event("change", { bubbles: true })); // for the preview, as if a hand had ticked them
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

// Virtual nodes together: how many are ticked, and ticking one means those that are ticked.
const bulk = document.getElementById("bulk");
if (bulk) {
  const count = () => {
    const ticked = bulk.querySelectorAll("[name=node_ids]:checked").length;
    const said = document.getElementById("ticked");
    if (said) said.textContent = ticked ? `(${ticked})` : "";
  };
  bulk.addEventListener("change", (event) => {
    if (event.target.name === "node_ids") bulk.querySelector("[name=which][value=ticked]").checked = true;
    count();
  });
  count();
}

// Words for a field, and a slider for a number: both only write into the field that is sent.
addEventListener("click", ({ target }) => {
  if (!(target instanceof HTMLElement) || !("fill" in target.dataset)) return;
  const field = document.getElementById(target.dataset.fill);
  field.value = target.dataset.text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.focus();
});
addEventListener("input", ({ target }) => {
  const field = document.getElementById(target.dataset?.mirrors ?? "");
  if (field) field.value = target.value;
  const slider = document.querySelector(`[data-mirrors="${CSS.escape(target.id)}"]`);
  if (slider) slider.value = target.value;
});
addEventListener("change", ({ target }) => {
  if (target.dataset?.mirrors) target.form.requestSubmit();
});

for (const box of document.querySelectorAll("[data-tail]")) box.scrollTop = box.scrollHeight;

document.documentElement.classList.add("scripted");

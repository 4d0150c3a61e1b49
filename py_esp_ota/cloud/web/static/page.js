// What is live on a page: it shows what the one stream of this browser brings, says when the server is lost, and lets
// nothing that was pressed get lost with it.
"use strict";

// What somebody has done to a field since the page came, to be done again to the one in its place.
function typed(part) {
  const fields = [...part.querySelectorAll("input[id]:not([type=hidden]), select[id], textarea[id]")];
  const changed = fields.filter((field) =>
    field.type === "checkbox" || field.type === "radio"
      ? field.checked !== field.defaultChecked
      : field.options
        ? [...field.options].some((option) => option.selected !== option.defaultSelected) && "touched" in field.dataset
        : field.value !== field.defaultValue && "touched" in field.dataset,
  );
  return changed.map(({ id, value, checked }) => ({ id, value, checked }));
}
addEventListener("input", ({ target }) => (target.dataset.touched = ""));
addEventListener("submit", ({ target }) => {
  for (const field of target.elements) delete field.dataset.touched; // sent: from now on the server's word counts
});

// Where a part is replaced, an open history stays open, the focus and what was typed stay where they were, by their
// ids, and a console that was read at its end still is.
function show(parts) {
  const focused = document.activeElement?.id;
  for (const [name, html] of Object.entries(parts)) {
    const part = document.querySelector(`[data-part="${CSS.escape(name)}"]`);
    if (!part) continue;
    const open = [...part.querySelectorAll("details[open][id]")].map((details) => details.id);
    const rolled = [...part.querySelectorAll("[id][tabindex]")].map((box) => ({
      id: box.id,
      top: box.scrollHeight - box.scrollTop - box.clientHeight < 4 && "tail" in box.dataset ? 1e9 : box.scrollTop,
    }));
    const fields = typed(part);
    part.innerHTML = html;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const { id, top } of rolled) {
      const box = document.getElementById(id);
      if (box) box.scrollTop = top;
    }
    for (const { id, value, checked } of fields) {
      const field = document.getElementById(id);
      if (!field) continue;
      if (field.type === "checkbox" || field.type === "radio") field.checked = checked;
      else field.value = value;
      field.dataset.touched = "";
    }
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

// While something is being pressed or sent nothing is replaced: a button that goes away under the finger does nothing.
const hold = {
  count: 0,
  waiting: [],
  begin() {
    this.count += 1;
  },
  end() {
    this.count -= 1;
    while (!this.count && this.waiting.length) this.waiting.shift()();
  },
  free(action) {
    if (this.count) this.waiting.push(action);
    else action();
  },
};
let pressed = false;
addEventListener("pointerdown", () => {
  if (!pressed) hold.begin();
  pressed = true;
});
for (const name of ["pointerup", "pointercancel", "dragend", "blur"]) {
  addEventListener(name, () => {
    if (!pressed) return;
    pressed = false;
    setTimeout(() => hold.end()); // after the click that this one makes
  });
}

const view = () => document.querySelector("[data-view]")?.dataset ?? {};
const lamp = document.getElementById("live");
const server = document.getElementById("server");
const LAMP = { on: "live", lost: "reconnecting", refused: "not live", off: "connecting" };
const SAY = {
  lost: "The server does not answer. What you see may be old; this page keeps trying.",
  refused: "The server sends no live updates to this browser. Reload the page.",
};

function tell(state) {
  const before = lamp.dataset.state;
  lamp.dataset.state = state;
  lamp.querySelector(".word").textContent = LAMP[state];
  if (state in SAY) server.textContent = SAY[state];
  else if (before in SAY && state === "on") {
    server.textContent = "The server answers again.";
    setTimeout(() => lamp.dataset.state === "on" && server.replaceChildren(), 6_000);
  }
}

function hear({ data }) {
  if (data.state) return tell(data.state);
  hold.free(() => {
    if (data.view !== view().view) return; // another search by now
    view().at = data.at;
    show(data.parts);
  });
}

let port;
let told; // the view that the relay knows of
function watch() {
  const { view: address = "", at = "" } = view();
  told = address;
  port.postMessage({ view: address, at });
}
const leave = () => port.postMessage({ bye: true });
function meet(other) {
  port = other;
  port.onmessage = hear;
  watch();
}

// Without SharedWorker (Chrome on Android) each tab has a stream of its own, but only while it is looked at.
function alone() {
  const { port1, port2 } = new MessageChannel();
  new Relay().join(port2);
  meet(port1);
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : watch()));
}
if (typeof SharedWorker === "undefined") alone();
else {
  const worker = new SharedWorker(`/static/live.js?${document.documentElement.dataset.version}`);
  worker.onerror = alone;
  meet(worker.port);
}
addEventListener("pagehide", leave);
addEventListener("pageshow", (event) => event.persisted && watch());
document.body.addEventListener("htmx:afterSettle", () => told !== (view().view ?? "") && watch());

// What was pressed and did not arrive.
const failed = document.getElementById("failed");
function fail(sentence) {
  const alert = document.createElement("p");
  alert.className = "notice tone-failed";
  alert.role = "alert"; // one that appears is read out at once
  alert.textContent = sentence;
  failed.replaceChildren(alert);
}

addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("hx-post") || "sure" in form.dataset) return;
  event.preventDefault();
  if (form.ariaBusy) return;
  failed.replaceChildren();
  form.ariaBusy = "true";
  hold.begin();
  try {
    // Once a form is on its way, a browser shows an error page of its own in place of ours, and what was typed is gone.
    await fetch("/static/icon.svg", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
    form.dataset.sure = "";
    form.requestSubmit(submitter);
  } catch {
    fail("The server does not answer, so nothing was sent. Press again when it is back.");
  } finally {
    delete form.dataset.sure;
    form.ariaBusy = null;
    hold.end();
  }
});

document.body.addEventListener("htmx:beforeRequest", () => failed.replaceChildren());
for (const name of ["htmx:sendError", "htmx:timeout"]) {
  document.body.addEventListener(name, () =>
    fail("The server did not answer. Look whether it was done, or press again when it is back."),
  );
}
// An answer that is no piece of a page is told in words, not put in the piece's place.
document.body.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const { status, responseText: text } = detail.xhr;
  if (status < 400 || !/^\s*(<!doctype|[{[])/i.test(text)) return;
  detail.shouldSwap = false;
  const said = text.trimStart().startsWith("<") && new DOMParser().parseFromString(text, "text/html").querySelector("#main h1 + p");
  fail(said ? said.textContent : `The server refused this (${status}).`);
});

// The monitor by keyboard, and times that stay true. Without this file the page works, and Tab reaches everything.
"use strict";

const nodesOf = () => [...document.querySelectorAll("[data-row] th a, [data-row] th .id")].filter((link) => link.href);

function step(by) {
  const links = nodesOf();
  const row = document.activeElement?.closest("[data-row]");
  const at = links.findIndex((link) => link.closest("[data-row]") === row);
  const next = links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  ArrowDown: () => document.activeElement?.closest("[data-row]") && step(1),
  ArrowUp: () => document.activeElement?.closest("[data-row]") && step(-1),
  h: () => document.activeElement?.closest("[data-row]")?.querySelector("details")?.toggleAttribute("open"),
  "/": () => document.getElementById("q")?.focus(),
  Escape: () => document.activeElement?.blur(),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector(":popover-open")) return;
  const typing = event.target.matches?.("input, select, textarea");
  const act = KEYS[event.key];
  if (!act || (typing && event.key !== "Escape")) return;
  if (!event.key.startsWith("Arrow") || document.activeElement?.closest("[data-row]")) event.preventDefault();
  act();
});

const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
function words(seconds) {
  const [length, unit] = UNITS.find(([length]) => seconds >= length) ?? [1, "s"];
  return `${Math.floor(seconds / length)} ${unit}`;
}
setInterval(() => {
  for (const place of document.querySelectorAll(".ago[data-time]")) {
    const seconds = Math.floor((Date.now() - Number(place.dataset.time)) / 1000);
    const said = seconds > 0 ? `${words(seconds)} ago` : seconds < 0 ? `in ${words(-seconds)}` : "now";
    if (place.textContent !== said) place.textContent = said;
  }
}, 5_000);

"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const LISTED = 200; // findings and cases shown at once
  const CLOSE = 64; // operations in the close-up
  const VIOLATION = data.outcomes.indexOf("violation");
  const AS_THE_CHIP = data.outcomes.indexOf("as_the_chip");
  const BAD = Math.min(VIOLATION, AS_THE_CHIP); // outcomes stand from good to bad

  // ------------------------------------------------------------------------------------------------------- unpacking
  const operations = [];
  let address = 0;
  for (const [erase, step, length, count] of data.operations)
    for (let i = 0; i < count; i++) operations.push({ erase, address: (address += step), length });

  const rowOf = [];
  for (const [row, count] of data.cases) for (let i = 0; i < count; i++) rowOf.push(row);

  const plain = (model) => model === "" || model[0] === ":" || model[0] === "+";
  const laneOf = (model) => (plain(model) ? model.split("+")[0] : "other");
  const place = { "": -1, ":after": 1, other: 2 };
  const lanes = [...new Set(data.models.map(laneOf))].sort((a, b) => (place[a] ?? 0) - (place[b] ?? 0));
  const laneName = (lane) => ({ "": "before", other: "other" })[lane] ?? lane.slice(1);
  const lane = data.models.map((model) => lanes.indexOf(laneOf(model)));

  // For each different row: the worst outcome in each lane (-1 where there is no case), and in all.
  const rows = data.rows.map((flat) => {
    const worst = lanes.map(() => -1);
    const cases = [];
    for (let i = 0; i < flat.length; ) {
      const composed = flat[i] < 0; // a second cut behind the first
      const found = composed
        ? { model: -1 - flat[i], then: `+cut@${flat[i + 1]}${data.models[flat[i + 2]]}`, ending: flat[i + 3] }
        : { model: flat[i], then: "", ending: flat[i + 1] };
      i += composed ? 4 : 2;
      const outcome = data.endings[found.ending].outcome;
      worst[lane[found.model]] = Math.max(worst[lane[found.model]], outcome);
      cases.push(found);
    }
    return { worst, all: Math.max(-1, ...worst), cases };
  });
  const total = Math.max(operations.length, rowOf.length);
  const row = (index) => rows[rowOf[index]] ?? { worst: [], all: -1, cases: [] };
  const planOf = (index, found) => {
    const model = data.models[found.model];
    return plain(model) ? `cut@${index}${model}${found.then}` : model;
  };
  const hex = (value) => `0x${value.toString(16).padStart(6, "0")}`;
  const words = (index) => {
    const operation = operations[index];
    if (!operation) return "behind the last operation";
    const start = `${operation.erase ? "erase" : "program"} ${hex(operation.address)}`;
    return operation.erase ? start : `${start}..${hex(operation.address + operation.length - 1)}`;
  };
  const outcomeWords = (outcome) => data.outcomes[outcome].replaceAll("_", " ");
  const runs = (ending) => {
    if (ending.partition === null) return "nothing boots";
    const state = ending.state ? `, ${ending.state}` : "";
    return `${ending.version ?? "an app without a description"} from ${ending.partition}${state}`;
  };

  const bad = []; // the operations with findings, in order
  for (let i = 0; i < total; i++) if (row(i).all >= BAD) bad.push(i);
  const lowest = operations.reduce((low, one) => Math.min(low, one.address), Infinity);
  const highest = operations.reduce((high, one) => Math.max(high, one.address + one.length), 0);

  // --------------------------------------------------------------------------------------------------------- drawing
  const LANE = 18, STRIP = 8, MARKS = 12, LEFT = 96;
  const height = STRIP + 4 + lanes.length * LANE + MARKS + 16;
  let selected = 0;
  let along = "number";

  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(`--${name}`).trim();
    return { ...Object.fromEntries(["ink", "muted", "accent", "erase", "program"].map((name) => [name, of(name)])),
             outcomes: data.outcomes.map(of) };
  };

  /** Where an operation stands, in CSS pixels from the left of the picture: start and width. */
  const spans = (width, first, last, by) => (index) => {
    const room = width - LEFT;
    if (by === "number") return [LEFT + ((index - first) / (last - first)) * room, room / (last - first)];
    const operation = operations[index];
    if (!operation) return [width - 1, 1];
    const scale = room / Math.max(1, highest - lowest);
    return [LEFT + (operation.address - lowest) * scale, operation.length * scale];
  };

  const draw = (canvas, first, last, by) => {
    const width = canvas.clientWidth, ratio = window.devicePixelRatio || 1, ink = colours();
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    const span = spans(width, first, last, by);
    const gap = by === "number" && span(first)[1] > 4 ? 1 : 0;
    const box = (index, y, tall, colour) => {
      const [x, wide] = span(index);
      pen.fillStyle = colour;
      pen.fillRect(x, y, Math.max(1, wide - gap), tall);
    };
    for (let i = first; i < last; i++)
      if (operations[i]) box(i, 0, STRIP, operations[i].erase ? ink.erase : ink.program);
    const top = STRIP + 4, foot = top + lanes.length * LANE;
    lanes.forEach((name, number) => {
      const y = top + number * LANE;
      pen.fillStyle = ink.muted;
      pen.fillText(laneName(name), 0, y + LANE / 2, LEFT - 6);
    });
    // From good to bad, so that where many share a pixel the worst is seen.
    for (let outcome = 0; outcome < data.outcomes.length; outcome++)
      for (let i = first; i < last; i++) {
        const worst = row(i).worst;
        for (let number = 0; number < worst.length; number++)
          if (worst[number] === outcome) box(i, top + number * LANE + 1, LANE - 2, ink.outcomes[outcome]);
      }
    for (const i of bad) {
      if (i < first || i >= last) continue;
      const [x, wide] = span(i), middle = x + Math.max(1, wide) / 2;
      pen.fillStyle = ink.outcomes[row(i).all];
      pen.beginPath();
      if (row(i).all === VIOLATION) {
        pen.moveTo(middle, foot + 2);
        pen.lineTo(middle + 5, foot + 11);
        pen.lineTo(middle - 5, foot + 11);
      } else pen.arc(middle, foot + 6, 3, 0, 7);
      pen.fill();
    }
    const [x, wide] = span(selected);
    pen.strokeStyle = ink.accent;
    pen.lineWidth = 2;
    pen.strokeRect(x - 1, 1, Math.max(2, wide - gap) + 2, foot - 1);
    pen.fillStyle = ink.muted;
    const [from, to] = by === "number" ? [first, last - 1] : [hex(lowest), hex(highest - 1)];
    pen.fillText(`${from}`, LEFT, height - 8);
    pen.textAlign = "right";
    pen.fillText(`${to}`, width, height - 8);
    pen.textAlign = "left";
  };

  const closeRange = () => {
    const first = Math.max(0, Math.min(selected - CLOSE / 2, total - CLOSE));
    return [first, Math.min(total, first + CLOSE)];
  };
  const drawAll = () => {
    draw($("overview"), 0, total, along);
    if (!$("close").hidden) draw($("close"), ...closeRange(), "number");
  };

  // --------------------------------------------------------------------------------------------------------- picking
  const pick = (canvas, event, first, last, by) => {
    const x = event.clientX - canvas.getBoundingClientRect().left;
    const span = spans(canvas.clientWidth, first, last, by);
    const under = [];
    let nearest = first, distance = Infinity;
    for (let i = first; i < last; i++) {
      const [start, wide] = span(i);
      if (x >= start - 0.5 && x <= start + Math.max(1, wide)) under.push(i);
      const away = Math.abs(x - start - wide / 2);
      if (away < distance) [nearest, distance] = [i, away];
    }
    if (!under.length) return select(nearest);
    // Several share a pixel: a finding first, and with each further click the next of them.
    under.sort((a, b) => Number(row(b).all >= BAD) - Number(row(a).all >= BAD) || a - b);
    const here = under.indexOf(selected);
    select(by === "number" && last - first <= CLOSE ? nearest : under[(here + 1) % under.length]);
  };
  $("overview").addEventListener("click", (event) => pick($("overview"), event, 0, total, along));
  $("close").addEventListener("click", (event) => pick($("close"), event, ...closeRange(), "number"));

  const findingFrom = (index, way) =>
    way > 0 ? bad.find((one) => one > index) : bad.findLast((one) => one < index);
  const KEYS = {
    ArrowRight: () => selected + 1, ArrowUp: () => selected + 1,
    ArrowLeft: () => selected - 1, ArrowDown: () => selected - 1,
    PageUp: () => selected + CLOSE, PageDown: () => selected - CLOSE,
    Home: () => 0, End: () => total - 1,
    n: () => findingFrom(selected, 1), p: () => findingFrom(selected, -1),
  };
  $("overview").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || !KEYS[event.key]) return;
    event.preventDefault();
    select(KEYS[event.key]() ?? selected);
  });
  $("before").addEventListener("click", () => select(findingFrom(selected, -1) ?? selected));
  $("next").addEventListener("click", () => select(findingFrom(selected, 1) ?? selected));
  $("number").addEventListener("change", () => select($("number").valueAsNumber || 0));
  for (const choice of document.getElementsByName("along"))
    choice.addEventListener("change", () => { along = choice.value; drawAll(); });

  // --------------------------------------------------------------------------------------------------------- telling
  const made = (name, text, of = {}) => Object.assign(document.createElement(name), { textContent: text }, of);
  const withSwatch = (cell, outcome) => {
    cell.append(made("i", "", { className: `swatch ${data.outcomes[outcome]}` }), outcomeWords(outcome));
    return cell;
  };

  const showEnding = (index, found, button) => {
    const ending = data.endings[found.ending];
    const plan = planOf(index, found);
    for (const other of $("cases").querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
    $("why").textContent = ending.why;
    $("replay").textContent = data.command ? `${data.command} ${plan}` : plan;
    $("teach").hidden = !data.teach;
    $("teach").setAttribute("href", `${data.teach}&replay=${plan}`);
    $("runs").textContent = runs(ending);
    $("otadata").replaceChildren(...ending.otadata.map((entry, number) => made("div", `[${number}] ${entry}`)));
    $("boots").textContent = `Console of ${ending.boots} boot${ending.boots === 1 ? "" : "s"} after the cut`;
    $("log").textContent = ending.log.map((line) => data.lines[line]).join("\n");
  };

  const select = (wanted) => {
    const index = selected = Math.max(0, Math.min(total - 1, Math.trunc(wanted)));
    const { cases, all } = row(index);
    $("what").textContent = `Operation ${index}: ${words(index)}`;
    $("number").value = index;
    $("before").disabled = findingFrom(index, -1) === undefined;
    $("next").disabled = findingFrom(index, 1) === undefined;
    $("overview").setAttribute("aria-valuenow", String(index));
    const verdict = cases.length ? `${cases.length} cases, at worst ${outcomeWords(all)}` : "no case";
    $("overview").setAttribute("aria-valuetext", `operation ${index}, ${words(index)}, ${verdict}`);
    $("ending").hidden = !cases.length;
    // The worst first where not all can be shown.
    const shown = cases.length > LISTED
      ? [...cases].sort((a, b) => data.endings[b.ending].outcome - data.endings[a.ending].outcome).slice(0, LISTED)
      : cases;
    const lines = shown.map((found) => {
      const line = document.createElement("tr"), first = document.createElement("td");
      const button = made("button", planOf(index, found), { type: "button" });
      button.addEventListener("click", () => showEnding(index, found, button));
      first.append(button);
      const ending = data.endings[found.ending];
      line.append(first, withSwatch(document.createElement("td"), ending.outcome), made("td", runs(ending)));
      return line;
    });
    if (shown.length < cases.length) {
      const line = document.createElement("tr");
      line.append(made("td", `and ${cases.length - shown.length} more`, { colSpan: 3 }));
      lines.push(line);
    }
    $("cases").replaceChildren(...lines);
    const worst = shown.findIndex((found) => data.endings[found.ending].outcome === all);
    if (worst >= 0) showEnding(index, shown[worst], $("cases").querySelectorAll("button")[worst]);
    drawAll();
  };

  // ------------------------------------------------------------------------------------------------------- beginning
  if (!total) return;
  $("main").hidden = false;
  $("number").max = total - 1;
  $("close").hidden = total <= CLOSE; // it would be the same picture again
  $("overview").setAttribute("aria-valuemin", "0");
  $("overview").setAttribute("aria-valuemax", String(total - 1));
  $("findings").hidden = !bad.length;
  const worstFirst = [...bad].sort((a, b) => row(b).all - row(a).all || a - b);
  $("list").append(...worstFirst.slice(0, LISTED).map((index) => {
    const item = document.createElement("li"), { cases, all } = row(index);
    const button = made("button", `operation ${index}`, { type: "button" });
    button.addEventListener("click", () => { select(index); $("what").scrollIntoView({ block: "nearest" }); });
    const ending = data.endings[cases.find((found) => data.endings[found.ending].outcome === all).ending];
    item.append(withSwatch(made("span", ""), all), " ", button, ` ${words(index)}: ${ending.why}`);
    return item;
  }));
  $("more").textContent = bad.length > LISTED ? `and ${bad.length - LISTED} more` : "";
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("resize", drawAll);
  select(worstFirst[0] ?? 0);
})();

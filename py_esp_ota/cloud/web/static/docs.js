// The API's page: a login kept in this tab alone, and every call sent as it stands in its form.
"use strict";

let token = "";

async function send(method, url, options) {
  const started = performance.now();
  try {
    const answer = await fetch(url, { method, cache: "no-store", credentials: "omit", ...options });
    const json = (answer.headers.get("content-type") ?? "").startsWith("application/json");
    const bytes = new Uint8Array(await answer.arrayBuffer());
    const text = json ? pretty(new TextDecoder().decode(bytes)) : `${bytes.length} bytes`;
    const line = `${answer.status} ${answer.statusText}, ${Math.round(performance.now() - started)} ms`;
    return { ok: answer.ok, line, text };
  } catch {
    return { ok: false, line: "No answer. Is the server still there?", text: "" };
  }
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

// What a form says: the URL with its parameters, and what goes with it.
function request(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const input of form.querySelectorAll("[data-place]")) {
    const { name, value } = input;
    if (input.dataset.place === "path") path = path.replace(`{${name}}`, encodeURIComponent(value));
    else if (value && input.dataset.place === "query") query.append(name, value);
    else if (value) headers[name] = value;
  }
  if (form.dataset.locked && token) headers.Authorization = token;
  let body;
  if (form.elements.body) {
    headers["Content-Type"] = "application/json";
    body = form.elements.body.value;
  } else if (form.elements.file) {
    headers["Content-Type"] = "application/octet-stream";
    body = form.elements.file.files[0];
  }
  return [query.size ? `${path}?${query}` : path, { headers, body }];
}

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { user_name, password } = event.target.elements;
  const body = JSON.stringify({ user_name: user_name.value, password: password.value });
  const answer = await send("POST", "/v1/login2", { headers: { "Content-Type": "application/json" }, body });
  token = answer.ok ? JSON.parse(answer.text).accesstoken : "";
  password.value = "";
  document.getElementById("token").textContent = answer.ok
    ? `Logged in as ${user_name.value}. The access token goes with every call that needs one.`
    : `Not logged in. ${answer.text.startsWith("{") ? JSON.parse(answer.text).description : answer.line}`;
});

for (const form of document.querySelectorAll("form.try")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await send(form.dataset.method, ...request(form));
    const line = document.createElement("p");
    line.className = answer.ok ? "good" : "bad";
    line.textContent = answer.line;
    const text = document.createElement("pre");
    text.textContent = answer.text;
    form.querySelector(".answer").replaceChildren(line, ...(answer.text ? [text] : []));
  });
}

const filter = document.getElementById("filter");
filter.addEventListener("input", () => {
  const wanted = filter.value.trim().toLowerCase();
  for (const section of document.querySelectorAll(".calls")) {
    const calls = [...section.querySelectorAll(":scope > details")];
    for (const call of calls) {
      call.hidden = !call.querySelector("summary").textContent.toLowerCase().includes(wanted);
    }
    section.hidden = calls.every((call) => call.hidden);
  }
});

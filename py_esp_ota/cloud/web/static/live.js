// One stream of events for a whole browser. As a SharedWorker this file serves all tabs; where there is none, the page
// itself makes a Relay. Browsers open six connections to a server: a stream for each tab would leave the seventh none.
"use strict";

const PAUSE = { first: 500, last: 5_000 }; // ms between two attempts
const SILENCE = 45_000; // ms; the server says something every 15 s

class Relay {
  tabs = new Map(); // by port: the view it shows, and where that is
  state = "off";
  pause = PAUSE.first;

  join(port) {
    port.onmessage = ({ data }) => {
      if (data.bye) this.tabs.delete(port);
      else this.tabs.set(port, data);
      port.postMessage({ state: this.state });
      this.open(data.bye ? PAUSE.last : 0);
    };
  }

  // Anew, because the tabs changed or the stream was lost. Each view goes on where its tab is.
  open(after) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.source?.close();
      clearTimeout(this.silence);
      if (!this.tabs.size) return;
      const query = new URLSearchParams();
      for (const [view, at] of this.wanted()) query.append("view", `${at} ${view}`);
      this.source = new EventSource(`/live?${query}`);
      this.source.onerror = () => this.lost(this.source.readyState === EventSource.CLOSED ? "refused" : "lost");
      this.source.addEventListener("beat", () => this.heard());
      this.source.addEventListener("view", (event) => {
        this.heard();
        const news = JSON.parse(event.data);
        for (const [port, tab] of this.tabs) {
          if (tab.view !== news.view) continue;
          tab.at = news.at;
          port.postMessage(news);
        }
      });
    }, after);
  }

  // Two tabs with one view: from where the one behind is, or all of it when they are of different runs of the server.
  wanted() {
    const views = new Map();
    for (const { view, at } of this.tabs.values()) {
      if (!view) continue;
      const other = views.get(view) ?? at;
      const [[run, number], [otherRun, otherNumber]] = [at.split("."), other.split(".")];
      views.set(view, run !== otherRun ? "" : Number(number) < Number(otherNumber) ? at : other);
    }
    return [...views].slice(-32); // more the server does not take
  }

  heard() {
    this.pause = PAUSE.first;
    this.say("on");
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lost("lost"), SILENCE);
  }

  lost(state) {
    this.source.close();
    clearTimeout(this.silence);
    this.say(state);
    this.open(this.pause);
    this.pause = Math.min(2 * this.pause, PAUSE.last);
  }

  say(state) {
    if (state === this.state) return;
    this.state = state;
    for (const port of this.tabs.keys()) port.postMessage({ state });
  }
}

if (typeof SharedWorkerGlobalScope !== "undefined") {
  const relay = new Relay();
  self.onconnect = ({ ports: [port] }) => relay.join(port);
}

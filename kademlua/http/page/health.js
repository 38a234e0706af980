// The health in the header and with reasons in the overview.

import { request } from "./api.js";
import { $, make, setText } from "./dom.js";
import { timeOfDay } from "./format.js";

const INTERVAL_MS = 2000;
const VIEWS = { nodes: "nodes", joined: "nodes", values: "values", "published values": "values", store: "values", "event loop lag": "metrics", drops: "metrics" };
const WORDS = { good: "healthy", warning: "needs attention", bad: "unhealthy" };

/** @typedef {{name: string, level: "good"|"warning"|"bad", reason: string}} Check */

export class Health {
  /** @param {(text: string, level: string) => void} log receives each change of a check's level */
  constructor(log) {
    this.log = log;
    this.isConnected = false;
    this.levels = new Map();
    setInterval(() => this.refresh(), INTERVAL_MS);
  }

  async refresh() {
    if (!this.isConnected || document.hidden) return;
    try {
      const { level, checks } = await request("v1/health");
      if (this.isConnected) this.show(level, checks);
    } catch {
      // The stream reports the end of the connection.
    }
  }

  /** @param {string} level @param {Check[]} checks */
  show(level, checks) {
    const bad = checks.filter((check) => check.level !== "good");
    const names = bad.map((check) => check.name).join(", ");
    this.header(level, names ? `${WORDS[level]}: ${names}` : WORDS.good);
    $("checks").replaceChildren(
      ...checks.map((check) =>
        make("li", { class: check.level }, make("a", { href: `#${VIEWS[check.name] ?? "overview"}` }, check.name), " ", make("span", {}, check.reason)),
      ),
    );
    for (const { name, level: now, reason } of checks) {
      const before = this.levels.get(name);
      if (before !== now && (before || now !== "good")) this.log(`${name}: ${reason}`, now);
      this.levels.set(name, now);
    }
  }

  /** Show at once whether there is a connection. */
  connection(isConnected, status) {
    const wasConnected = this.isConnected;
    this.isConnected = isConnected;
    document.body.classList.toggle("stale", !isConnected);
    $("banner").hidden = isConnected || status === 401;
    if (isConnected) {
      if (!wasConnected) this.log("connected", "good");
      this.refresh();
      return;
    }
    if (status === 401) {
      this.header("bad", "the token is needed");
    } else if (status) {
      this.header("bad", "no stream of events");
      setText($("banner"), `No stream of events (status ${status}): too many pages may be open. Trying again.`);
    } else if (wasConnected || !$("banner").textContent) {
      this.header("bad", "disconnected");
      setText($("banner"), `Disconnected since ${timeOfDay()}: the figures below are old. Is the node running? Trying again.`);
    }
    if (wasConnected) this.log("disconnected", "bad");
  }

  header(level, text) {
    setText($("health-text"), text);
    $("health").className = `health ${level}`;
  }
}

// The changes of one key, as they come.

import { listen } from "./api.js";
import { $, make, setText, showMessage } from "./dom.js";
import { endpoint, short, timeOfDay } from "./format.js";
import { keyPath } from "./keys.js";
import { viewValue } from "./value-view.js";

const MAX_LINES = 100;
const SILENT_MS = 25000; // without changes the node sends something every ten seconds

/** @typedef {{kind: string, owner: {id: string, address: string, port: number}|null, value: unknown}} Change */

export class Watch {
  constructor() {
    /** @type {AbortController|null} */
    this.control = null;
    $("watch-stop").addEventListener("click", () => {
      this.stop();
      $("watch-start").focus(); // the button vanishes
    });
  }

  /** Show the values of a key and what changes from now on, in place of another key. @param {string} key */
  start(key) {
    this.stop();
    this.control = new AbortController();
    setText($("watch-title"), `Changes of ${key}`);
    $("watch-section").hidden = $("watch-stop").hidden = false;
    $("watch-lines").replaceChildren();
    showMessage($("watch-state"), "busy", "…");
    listen(
      `v1/watch/${keyPath(key)}`,
      (_, change) => this.add(key, change),
      (isConnected, status) => this.connection(isConnected, status),
      { silentMs: SILENT_MS, signal: this.control.signal },
    );
  }

  /** End the watch; its changes stay. */
  stop() {
    if (!this.control) return;
    this.control.abort();
    this.control = null;
    $("watch-stop").hidden = true;
    showMessage($("watch-state"), "good", "The watch has ended.");
  }

  connection(isConnected, status) {
    if (isConnected) showMessage($("watch-state"), "good", "Watching. The values that exist come first, then each change.");
    else if (status) showMessage($("watch-state"), "bad", `The node refuses the stream (status ${status}). The page tries again.`);
    else showMessage($("watch-state"), "bad", "The stream has ended. The page tries again.");
  }

  /** Add a line, the latest first. @param {string} key @param {Change} change */
  add(key, { kind, owner, value }) {
    const who = owner && make("span", { class: "mono", title: owner.id }, `${endpoint(owner)} ${short(owner.id)}`);
    const content = kind === "missed" ? ["changes came faster than the page; all values follow"] : [who ?? "unknown owner", viewValue(value, key)];
    const line = make("li", { class: `value ${kind}` }, make("time", {}, timeOfDay()), make("b", {}, kind), ...content);
    const lines = $("watch-lines");
    lines.prepend(line);
    while (lines.children.length > MAX_LINES) lines.lastChild.remove();
  }
}

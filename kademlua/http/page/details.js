// The panel of the selected node.

import { $, button, copyButton, make } from "./dom.js";
import { duration, endpoint, plural } from "./format.js";

/** @typedef {import("./main.js").NodeRow} NodeRow */

/**
 * Show a node, or how to select one.
 * @param {string|null} id
 * @param {NodeRow|undefined} row
 * @param {Array<{text: string, run: (row: NodeRow) => void}>} actions
 */
export function showDetails(id, row, actions) {
  const panel = $("details");
  if (!id || !row) {
    const text = id ? `${id} is not a known node any more.` : "Click a node on the ring, or move along it with the arrow keys.";
    panel.replaceChildren(make("p", { class: "empty" }, text));
    return;
  }
  const list = make("dl", { class: "pairs" });
  for (const [name, figure] of Object.entries(figuresOf(row)))
    if (figure !== undefined) list.append(make("dt", {}, name), make("dd", {}, figure));
  const buttons = make("div", { class: "buttons" });
  buttons.append(...actions.map(({ text, run }) => button(text, () => run(row), { class: text === "Kill" ? "danger" : undefined })));
  panel.replaceChildren(make("p", { class: "mono" }, id, " ", copyButton(id)), list, buttons);
}

/** @param {NodeRow} row */
function figuresOf(row) {
  const some = (value, text) => (value === undefined || value === null ? undefined : text(value));
  return {
    address: endpoint(row),
    state: row.state,
    contacts: some(row.contacts, (count) => count.toLocaleString("en")),
    values: some(row.values, (count) => plural(count, "value")),
    age: some(row.age_seconds, duration),
    packets: some(row.packets_in, (count) => `${count.toLocaleString("en")} in, ${row.packets_out.toLocaleString("en")} out`),
    dropped: some(row.dropped, (count) => count.toLocaleString("en")),
    bucket: some(row.bucket, String),
    "round trip": some(row.rtt_seconds, (seconds) => `${(seconds * 1000).toFixed(1)} ms`),
    "last seen": some(row.last_seen_seconds, (seconds) => `${duration(seconds)} ago`),
  };
}

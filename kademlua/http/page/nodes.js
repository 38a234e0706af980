// The table of all nodes of a swarm, or of all contacts of a node.

import { $ } from "./dom.js";
import { duration, endpoint } from "./format.js";
import { Table } from "./table.js";
import { currentView, onView } from "./views.js";

/** @typedef {import("./main.js").NodeRow} NodeRow */

const id = { title: "id", key: (row) => row.id, cell: (row) => `${row.id.slice(0, 12)}…` };
const address = { title: "address", key: (row) => row.port, cell: (row) => endpoint(row) };
const state = { title: "state", key: (row) => row.state };
const number = (title, name) => ({ title, key: (row) => row[name], isNumber: true });
const seconds = (title, name) => ({
  title,
  key: (row) => row[name] ?? undefined,
  cell: (row) => (row[name] === undefined || row[name] === null ? "–" : duration(row[name])),
  isNumber: true,
});
const roundTrip = {
  title: "round trip",
  key: (row) => row.rtt_seconds ?? undefined,
  cell: (row) => (row.rtt_seconds ? `${(row.rtt_seconds * 1000).toFixed(1)} ms` : "–"),
  isNumber: true,
};
const COLUMNS = {
  swarm: [
    id, address, state, seconds("age", "age_seconds"), number("contacts", "contacts"), number("values", "values"),
    number("packets in", "packets_in"), number("packets out", "packets_out"), number("dropped", "dropped"),
  ],
  node: [id, address, state, number("bucket", "bucket"), roundTrip, seconds("last seen", "last_seen_seconds")],
};
const EMPTY = {
  swarm: "No nodes yet. They appear as they start.",
  node: "No contacts: this node is alone. Start another node that bootstraps from it, for example: kademlua node 8002 --bootstrap ",
};

/**
 * @param {"node"|"swarm"} kind
 * @param {Map<string, NodeRow>} rows
 * @param {(id: string) => void} choose
 * @param {() => string} self returns the address of the node that serves the page
 */
export function nodeTable(kind, rows, choose, self) {
  const empty = () => ($("node-search").value ? "No node matches." : EMPTY[kind] + (kind === "node" ? self() : ""));
  const table = new Table($("node-table"), COLUMNS[kind], {
    caption: "Nodes", empty, identity: (row) => row.id, onChoose: (row) => choose(row.id),
  });
  function refresh() {
    if (currentView() !== "nodes") return;
    const wanted = $("node-search").value.trim().toLowerCase();
    const found = [...rows.values()].filter(
      (row) => row.id.startsWith(wanted) || `${endpoint(row)} ${row.state}`.includes(wanted),
    );
    table.show(kind === "node" ? found.filter((row) => row.state !== "this node") : found);
  }
  $("node-search").addEventListener("input", refresh);
  onView(refresh);
  return refresh;
}

// The page of a node or a swarm: its parts, and what they share.

import { Access } from "./access.js";
import { takeTokenFromUrl } from "./api.js";
import { showDetails } from "./details.js";
import { $, button, make, setText } from "./dom.js";
import { endpoint, milliseconds, plural } from "./format.js";
import { Health } from "./health.js";
import { log } from "./log.js";
import { Lookups } from "./lookups.js";
import { Metrics } from "./metrics.js";
import { showNode } from "./node.js";
import { nodeTable } from "./nodes.js";
import { Objects } from "./objects.js";
import { Ring } from "./ring.js";
import { controlRing } from "./ring-control.js";
import { Stored } from "./stored.js";
import { showSwarm } from "./swarm.js";
import { Values } from "./values.js";
import { openView } from "./views.js";

/**
 * @typedef {{id: string, address?: string, port: number, kind: string, state: string, contacts?: number, values?: number,
 *   age_seconds?: number, packets_in?: number, packets_out?: number, dropped?: number, bucket?: number,
 *   rtt_seconds?: number|null, last_seen_seconds?: number|null}} NodeRow
 */

takeTokenFromUrl();
const kind = document.body.dataset.of === "swarm" ? "swarm" : "node";

/** What the parts of the page share. */
export class Page {
  constructor() {
    /** @type {Map<string, NodeRow>} */
    this.rows = new Map();
    this.selfId = "";
    this.selfAddress = "";
    /** What can be done with the selected node. @type {Array<{text: string, run: (row: NodeRow) => void}>} */
    this.actions = [];
    this.log = log;
    this.ring = new Ring($("ring"));
    this.metrics = new Metrics();
    this.lookups = new Lookups(this.ring, (seconds) => this.metrics.lookup(seconds));
    this.health = new Health(log);
    this.table = nodeTable(kind, this.rows, (id) => this.choose(id), () => this.selfAddress);
    controlRing(this.ring, this.rows, (id) => this.select(id));
    this.heldKey = "";
    this.select(null);
    $("unhighlight").addEventListener("click", () => this.showHolders([], ""));
  }

  /** @param {{id: string, address: string, port: number}} contact of the node that serves the page */
  self(contact) {
    this.selfId = this.lookups.self = contact.id;
    this.selfAddress = endpoint(contact);
    setText($("who"), `${contact.id}  ${this.selfAddress}`);
  }

  /** Replace all nodes. @param {NodeRow[]} rows */
  nodes(rows) {
    this.rows.clear();
    for (const row of rows) this.rows.set(row.id, row);
    this.ring.replace(new Map(rows.map((row) => [row.id, row.kind])));
    this.table();
    this.details();
  }

  /** @param {NodeRow} row */
  node(row) {
    this.rows.set(row.id, row);
    this.ring.set(row.id, row.kind);
    this.countHolders();
    if (row.id === this.ring.selected) this.details();
  }

  /** @param {string} id */
  remove(id) {
    this.rows.delete(id);
    this.ring.highlighted.delete(id);
    this.ring.delete(id);
    this.countHolders();
  }

  /** Select a node on the ring. @param {string|null} id */
  select(id) {
    this.ring.show({ selected: id });
    this.details();
  }

  choose(id) {
    openView("overview");
    this.select(id);
    $("details").focus();
  }

  details() {
    const { selected } = this.ring;
    const row = selected ? this.rows.get(selected) : undefined;
    const signature = JSON.stringify([selected, row]);
    if (signature === this.shownDetails) return; // a button in it may have the focus
    this.shownDetails = signature;
    showDetails(selected, row, row && !["self", "failed"].includes(row.kind) ? this.actions : []);
  }

  /** Mark nodes on the ring. @param {string[]} ids @param {string} key */
  showHolders(ids, key) {
    this.ring.show({ highlighted: new Set(ids) });
    this.heldKey = key;
    $("highlight").hidden = !ids.length;
    if (!ids.length) return;
    this.countHolders();
    openView("overview");
  }

  /** Say how many of the marked nodes live. */
  countHolders() {
    const live = [...this.ring.highlighted].filter((id) => this.rows.get(id)?.kind !== "failed");
    setText($("highlight-text"), `${plural(live.length, "node")} for ${this.heldKey}`);
  }

  /** Show the counts of the last second. */
  second(rates) {
    this.metrics.second(rates);
    const found = this.metrics.percentiles();
    if (found) this.facts({ "lookup time p50": milliseconds(found.p50 / 1000), "p95": milliseconds(found.p95 / 1000) });
  }

  /** Show figures by name. @param {Record<string, string>} figures */
  facts(figures) {
    for (const [name, figure] of Object.entries(figures)) {
      let place = $("facts").querySelector(`[data-name="${name}"]`);
      if (!place) {
        place = make("dd", { "data-name": name });
        $("facts").append(make("div", {}, make("dt", {}, name), place));
      }
      setText(place, figure);
    }
  }

  connection(isConnected, status) {
    this.health.connection(isConnected, status);
    if (isConnected) access.check();
  }

  checkHealth() {
    this.health.refresh();
  }
}

const page = new Page();
const access = new Access(() => values.page.changed());
const values = new Values(access, {
  showHolders: (ids, key) => page.showHolders(ids, key),
  changed: () => {
    page.lookups.rename();
    stored.refresh();
  },
  log,
});
new Objects(values);
const stored = new Stored(kind, values, { showPorts: (ports, key) => page.showPorts(ports, key) });
$("find-hint").append(button("Find or add a key.", () => openView("values"), { class: "link" }));
(kind === "swarm" ? showSwarm : showNode)(page);

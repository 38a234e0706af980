// The tables of stored and published values, and of the keys of a swarm.

import { request, send } from "./api.js";
import { $, button, make, setText } from "./dom.js";
import { bytes, duration, endpoint, plural } from "./format.js";
import { hashOf, matches, nameOf, remember, textOf } from "./keys.js";
import { Table } from "./table.js";
import { bytesOf, viewValue } from "./value-view.js";
import { onView, currentView } from "./views.js";

const PAGE = 50; // values may be large
const INTERVAL_MS = 5000;

/** @typedef {{key: string, value: unknown, owner?: any, remaining_seconds?: number, ttl?: number}} ValueRow */

const keyCell = (row) => make("span", { title: row.key, class: "mono" }, nameOf(row.key));
const key = { title: "key", key: (row) => textOf(row.key) ?? row.key, cell: keyCell };
const value = { title: "value", key: (row) => JSON.stringify(row.value), cell: (row) => viewValue(row.value, nameOf(row.key)) };
const size = { title: "size", key: (row) => bytesOf(row.value).length, cell: (row) => bytes(bytesOf(row.value).length), isNumber: true };
const owner = { title: "owner", key: (row) => row.owner.port, cell: (row) => endpoint(row.owner) };
const identity = (row) => `${row.key} ${row.owner?.id ?? ""} ${row.owner?.port ?? ""}`;
const left = { title: "expires in", key: (row) => row.remaining_seconds, cell: (row) => duration(row.remaining_seconds), isNumber: true };
const ttl = { title: "TTL", key: (row) => row.ttl, cell: (row) => duration(row.ttl), isNumber: true };

export class Stored {
  /**
   * @param {"node"|"swarm"} kind
   * @param {import("./values.js").Values} form
   * @param {{showPorts: (ports: number[], key: string) => void}} page
   */
  constructor(kind, form, page) {
    this.isSwarm = kind === "swarm";
    this.form = form;
    this.pages = { stored: 1, published: 1 }; // how many are shown
    this.rows = { stored: [], published: [] };
    const search = $("value-search");
    const find = () => button(`Find ${search.value} in the network`, () => this.use(search.value), { class: "link" });
    const empty = (hint) => () => (search.value ? ["Nothing here matches. ", find()] : hint);
    const fill = { title: "", key: () => "", cell: (row) => button("Edit", () => this.use(row.key)) };
    const stop = { title: "", key: () => "", cell: (row) => button("Unpublish", () => this.unpublish(row.key)) };
    this.tables = {
      stored: new Table($("stored-table"), [key, value, size, owner, left, fill], {
        caption: "Stored values", identity, maxRows: 5000, empty: empty("This node stores no values yet. A value is on the nodes with the ids closest to its key."),
      }),
      published: new Table($("published-table"), [key, value, size, ttl, stop], {
        caption: "Published values", identity, maxRows: 5000, empty: empty("Nothing is published. Publish keeps a value alive while this node runs."),
      }),
    };
    if (this.isSwarm) this.tables.keys = this.keyTable(page, fill, empty("The swarm holds no values yet. Add one above."));
    $("keys-section").hidden = !this.isSwarm;
    search.addEventListener("input", async () => {
      await this.recognize(search.value);
      this.paint();
    });
    for (const list of ["stored", "published"])
      $(`${list}-more`).addEventListener("click", () => {
        this.pages[list] += 1;
        this.refresh();
      });
    onView((view) => view === "values" && this.refresh());
    setInterval(() => currentView() === "values" && !document.hidden && this.refresh(), INTERVAL_MS);
  }

  keyTable(page, fill, empty) {
    const copies = { title: "copies", key: (row) => row.holders.length, cell: (row) => `${row.holders.length} of ${this.replicas}`, isNumber: true };
    const show = { title: "", key: () => "", cell: (row) => button("Show on the ring", () => page.showPorts(row.holders, row.key)) };
    const table = new Table($("keys-table"), [key, copies, show, fill], {
      caption: "Keys in the swarm", identity, maxRows: 5000, empty,
    });
    table.sort(1);
    table.sort(1);
    return table;
  }

  /** Put a key into the form and find it; if it has one value, and that is text, put it there, too. @param {string} key */
  use(key) {
    $("key").value = textOf(key) ?? key;
    $("key").focus();
    this.form.run(async () => {
      const shown = await this.form.find();
      const [value, ...others] = this.form.found;
      if (typeof value === "string" && !others.length) $("value").value = value;
      return shown;
    });
  }

  /** Remember a text that is searched for if it is a listed key. @param {string} text */
  async recognize(text) {
    const hash = await hashOf(text);
    if (hash && [...this.rows.stored, ...this.rows.published, ...(this.keys ?? [])].some((row) => row.key === hash))
      remember(hash, text);
  }

  unpublish(hex) {
    this.form.run(async () => {
      await send("DELETE", `v1/published/${hex}?hex=true`);
      return `No longer published: ${nameOf(hex)} expires at its TTL.`;
    });
  }

  async refresh() {
    try {
      await Promise.all([this.load("stored"), this.load("published"), this.isSwarm && this.loadKeys()]);
    } catch {
      // The header shows that there is no connection or no token.
    }
  }

  async load(list) {
    let reply = { next: "" };
    const rows = [];
    for (let page = 0; page < this.pages[list] && reply.next !== null; page += 1) {
      reply = await request(`v1/${list}?limit=${PAGE}&after=${reply.next}`);
      rows.push(...reply[list]);
    }
    this.rows[list] = rows;
    $(`${list}-more`).hidden = reply.next === null;
    if (list === "stored") setText($("stored-total"), `${plural(reply.values, "value")}, ${bytes(reply.bytes)}`);
    this.paint();
  }

  async loadKeys() {
    const reply = await request("v1/swarm/values");
    this.replicas = reply.replicas;
    this.keys = reply.values;
    const lost = reply.lost.length ? `; lost: ${reply.lost.slice(0, 5).map(nameOf).join(", ")}` : "";
    setText($("keys-total"), `${plural(reply.count, "key")}, ${reply.replicas} copies wanted${lost}`);
    this.paint();
  }

  paint() {
    const search = $("value-search").value;
    const isWanted = (row) => !search || matches(row.key, search) || JSON.stringify(row.value ?? "").includes(search);
    for (const [list, rows] of Object.entries({ ...this.rows, keys: this.keys })) this.tables[list]?.show((rows ?? []).filter(isWanted));
  }
}

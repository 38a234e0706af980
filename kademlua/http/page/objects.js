// The table of published objects.

import { request, send } from "./api.js";
import { $, button, make } from "./dom.js";
import { bytes, duration } from "./format.js";
import { Table } from "./table.js";
import { currentView, onView } from "./views.js";

const INTERVAL_MS = 5000;

/** @typedef {{key: string, size: number, ttl: number}} ObjectRow */

export class Objects {
  /** @param {import("./values.js").Values} form */
  constructor(form) {
    this.form = form;
    this.table = new Table($("object-table"), [
      { title: "key", key: (row) => row.key, cell: (row) => make("span", { class: "mono" }, row.key) },
      { title: "size", key: (row) => row.size, cell: (row) => bytes(row.size), isNumber: true },
      { title: "TTL", key: (row) => row.ttl, cell: (row) => duration(row.ttl), isNumber: true },
      { title: "", key: () => "", cell: (row) => button("Unpublish", () => this.unpublish(row.key)) },
    ], {
      caption: "Published objects", identity: (row) => row.key, maxRows: 5000,
      empty: () => "No objects are published. Run kademlua object publish FILE, or POST a file to v1/objects?publish=true.",
    });
    onView((view) => view === "values" && this.refresh());
    setInterval(() => currentView() === "values" && !document.hidden && this.refresh(), INTERVAL_MS);
  }

  /** @param {string} key */
  unpublish(key) {
    this.form.run(async () => {
      await send("DELETE", `v1/objects/${key}`);
      await this.refresh();
      return "No longer published: the object expires at its TTL.";
    });
  }

  async refresh() {
    try {
      this.table.show((await request("v1/objects")).objects);
    } catch {
      // The header shows that there is no connection or no token.
    }
  }
}

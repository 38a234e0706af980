// The page of one node: its contacts on the ring, its buckets, its counters.

import { request, listen } from "./api.js";

const $ = (id) => document.getElementById(id);

export function showNode(page) {
  let self = null;
  let previous = null;

  async function contacts() {
    try {
      const table = await request("v1/contacts");
      self = table.node;
      $("who").textContent = `${self.id}  ${self.address}:${self.port}`;
      document.title = `Kademlua ${self.id.slice(0, 8)}`;
      const nodes = new Map();
      for (const { contacts: row } of table.buckets)
        for (const each of row) nodes.set(each.id, each.is_fresh ? "fresh" : "silent");
      nodes.set(self.id, "self");
      page.ring.replace(nodes);
      describe(nodes.size - 1);
      buckets(table.buckets);
    } catch (error) {
      page.health("ill", error.status === 401 ? "enter the token to see this node" : "no answer");
    }
  }

  function describe(count) {
    $("ring").setAttribute("aria-label", `The ring of ids with this node and its ${count} contacts`);
  }

  function buckets(rows) {
    const body = $("buckets").tBodies[0];
    while (body.rows.length > rows.length) body.deleteRow(-1);
    rows.forEach((row, at) => {
      const line = body.rows[at] ?? newRow(body);
      const fresh = row.contacts.filter((each) => each.is_fresh).length;
      const [index, bar, freshCell, waiting] = line.cells;
      index.textContent = row.bucket;
      const meter = bar.firstChild;
      meter.max = Math.max(20, row.contacts.length);
      meter.value = row.contacts.length;
      meter.textContent = row.contacts.length;
      meter.title = `${row.contacts.length} contacts`;
      freshCell.textContent = `${fresh} of ${row.contacts.length}`;
      waiting.textContent = row.replacements;
    });
  }

  function newRow(body) {
    const line = body.insertRow();
    for (let cell = 0; cell < 4; cell += 1) line.insertCell();
    line.cells[1].append(document.createElement("meter"));
    return line;
  }

  function stats(now) {
    if (previous) {
      const seconds = Math.max(now.seconds - previous.seconds, 1e-3);
      const into = (now.packets_in - previous.packets_in) / seconds;
      const out = (now.packets_out - previous.packets_out) / seconds;
      page.traffic.add(into, out);
      $("traffic-now").textContent = `${into.toFixed(0)} in, ${out.toFixed(0)} out`;
    }
    previous = now;
    const dropped = Object.values(now.dropped).reduce((sum, each) => sum + each, 0);
    page.facts({
      contacts: String(now.contacts),
      "nodes, about": now.network_size.toLocaleString(),
      values: now.values.toLocaleString(),
      "in flight": String(now.calls_in_flight),
      dropped: dropped.toLocaleString(),
      "up for": duration(now.seconds),
    });
    if (!now.joined) page.health("ill", "not joined: no bootstrap node replied");
    else if (now.contacts === 0) page.health("poor", "no contacts");
    else page.health("well", "healthy");
  }

  function onEvent(name, data) {
    if (name === "stats") stats(data);
    else if (name === "contact-entered") page.ring.set(data.id, "fresh");
    else if (name === "contact-left") page.ring.delete(data.id);
    else if (name.startsWith("lookup-") && self) page.lookups.onEvent(name, data, self.id);
  }

  contacts();
  setInterval(contacts, 5000);
  listen("v1/events", onEvent, (isConnected) => {
    if (!isConnected) page.health("ill", "no connection to the node");
    previous = null;
  });
}

function duration(seconds) {
  const [days, hours, minutes] = [seconds / 86400, seconds / 3600, seconds / 60].map(Math.floor);
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

// One node as the source of the page: its contacts, its counters and its events.

import { listen, request } from "./api.js";
import { $, make, setText } from "./dom.js";
import { duration } from "./format.js";

const CONTACTS_MS = 5000;
const SOON_MS = 500; // many contacts may change at the same time

/** @param {import("./main.js").Page} page */
export function showNode(page) {
  let previous = null;
  let soon;

  async function contacts() {
    try {
      const table = await request("v1/contacts");
      page.self(table.node);
      document.title = `Kademlua ${table.node.id.slice(0, 8)}`;
      const rows = table.buckets.flatMap((bucket) => bucket.contacts).map((contact) => ({
        ...contact, kind: contact.is_fresh ? "fresh" : "silent", state: contact.is_fresh ? "seen recently" : "silent",
      }));
      page.nodes([...rows, { ...table.node, kind: "self", state: "this node" }]);
      $("ring").setAttribute("aria-label", `The ring of ids with this node and its ${rows.length} contacts. Arrow keys select a node.`);
      showBuckets(table.buckets);
    } catch {
      // The stream reports the end of the connection, and the access form a missing token.
    }
  }

  function stats(now) {
    if (previous) page.second(rates(now, previous));
    previous = now;
    const dropped = Object.values(now.dropped).reduce((sum, each) => sum + each, 0);
    page.facts({
      contacts: now.contacts.toLocaleString("en"),
      "nodes, about": now.network_size.toLocaleString("en"),
      values: now.values.toLocaleString("en"),
      dropped: dropped.toLocaleString("en"),
      "up for": duration(now.seconds),
    });
  }

  function onEvent(name, data) {
    if (name === "stats") stats(data);
    else if (name.startsWith("lookup-")) page.lookups.onEvent(name, data, page.selfId);
    else if (name === "contact-entered") page.log(`contact ${data.address}:${data.port} entered the routing table`);
    else if (name === "contact-left") page.log(`contact ${data.address}:${data.port} left the routing table`, "warning");
    else if (name === "value-stored") page.log(`stored ${data.bytes} bytes for ${data.owner.address}:${data.owner.port}`);
    if (name.startsWith("contact-")) contactsSoon();
  }

  function contactsSoon() {
    soon ??= setTimeout(() => {
      soon = undefined;
      contacts();
    }, SOON_MS);
  }

  $("buckets-section").hidden = false;
  contacts();
  setInterval(() => document.hidden || contacts(), CONTACTS_MS);
  listen("v1/events", onEvent, (isConnected, status) => {
    page.connection(isConnected, status);
    if (isConnected) contacts();
    previous = null;
  });
}

/** Return the counts per second between two events. */
function rates(now, previous) {
  const seconds = Math.max(now.seconds - previous.seconds, 1e-3);
  const rate = (name) => (now[name] - previous[name]) / seconds;
  const each = (name) =>
    Object.fromEntries(Object.entries(now[name]).map(([kind, count]) => [kind, (count - (previous[name][kind] ?? 0)) / seconds]));
  return {
    packets_in: rate("packets_in"), packets_out: rate("packets_out"), bytes_in: rate("bytes_in"), bytes_out: rate("bytes_out"),
    requests: each("requests_by_rpc"), dropped: each("dropped"),
  };
}

function showBuckets(buckets) {
  const lines = buckets.map(({ bucket, contacts, replacements }) => {
    const fresh = contacts.filter((each) => each.is_fresh).length;
    const title = `${contacts.length} contacts`;
    const meter = make("meter", { min: 0, max: Math.max(20, contacts.length), value: contacts.length, title }, title);
    const cells = [String(bucket), meter, `${fresh} of ${contacts.length}`, String(replacements)];
    return make("tr", {}, ...cells.map((cell) => make("td", {}, cell)));
  });
  $("buckets").tBodies[0].replaceChildren(...lines);
  setText($("buckets-empty"), lines.some((line) => line.querySelector("meter").value) ? "" : "No contacts yet.");
}

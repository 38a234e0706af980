// A swarm as the source of the page: all nodes, their events, and nodes that are killed or join.

import { listen, request, send } from "./api.js";
import { $, attempt, confirmed } from "./dom.js";
import { plural } from "./format.js";
import { nameOf } from "./keys.js";

const NODES_MS = 3000;
const DEAD_MS = 3000; // a killed node stays on the ring for this time
const LEGEND = { self: "the control node", fresh: "a node of the swarm", silent: "joining", failed: "no answer, or dead" };

/** @param {import("./main.js").Page} page */
export function showSwarm(page) {
  for (const [kind, text] of Object.entries(LEGEND)) $(`legend-${kind}`).textContent = text;
  $("swarm-section").hidden = false;
  document.title = "Kademlua swarm";
  const dead = new Map(); // rows of killed nodes by id

  function row(node) {
    const kind = node.is_control ? "self" : node.joined ? "fresh" : "silent";
    return { ...node, kind, state: node.is_control ? "control node" : node.joined ? "joined" : "joining" };
  }

  async function all() {
    try {
      const { nodes } = await request("v1/swarm");
      const control = nodes.find((node) => node.is_control);
      if (control) page.self(control);
      const ids = new Set(nodes.map((node) => node.id));
      const gone = [...dead.values()].filter((each) => !ids.has(each.id));
      page.nodes([...nodes.map(row), ...gone]);
    } catch {
      // The stream reports the end of the connection, and the access form a missing token.
    }
  }

  function totals(now) {
    page.second(now);
    const figures = { nodes: now.nodes, joined: now.joined, "lookups a second": now.lookups, "stored copies": now.values, died: now.died, came: now.came };
    page.facts(Object.fromEntries(Object.entries(figures).map(([name, count]) => [name, count.toLocaleString("en")])));
    $("ring").setAttribute("aria-label", `The ring of ids with ${now.nodes} nodes. Arrow keys select a node.`);
  }

  function ended(node) {
    const gone = { ...page.rows.get(node.id), ...node, kind: "failed", state: "dead" };
    dead.set(node.id, gone);
    page.node(gone);
    page.log(`node ${node.port} died`, "warning");
    page.checkHealth();
    setTimeout(() => {
      if (dead.delete(node.id) && page.rows.get(node.id)?.kind === "failed") page.remove(node.id);
    }, DEAD_MS);
  }

  function onEvent(name, data) {
    if (name === "swarm") totals(data);
    else if (name.startsWith("lookup-")) page.lookups.onEvent(name, data, data.node);
    else if (name === "node-ended") ended(data);
    else if (name === "node-began" || name === "node-joined") {
      dead.delete(data.id);
      page.node(row({ ...page.rows.get(data.id), ...data }));
      page.log(`node ${data.port} ${name === "node-began" ? "starts" : "joined"}`);
    }
  }

  function change(path, done, count = 1) {
    return attempt($("swarm-text"), async () => {
      const changed = [];
      for (let at = 0; at < count; at += 1) changed.push((await send("POST", `v1/swarm/${path}`)).port);
      return `${done} ${changed.length > 3 ? plural(changed.length, "node") : changed.join(", ")}.`;
    });
  }

  async function kill(what, path, count = 1) {
    const question = `Kill ${what}? Values that only it holds are lost.`;
    if (await confirmed(count > 1 ? question.replace("it holds", "they hold") : question, "Kill")) change(path, "Killed", count);
  }

  $("kill-node").addEventListener("click", () => kill("a random node", "kill"));
  $("kill-ten").addEventListener("click", () => kill("ten random nodes", "kill", 10));
  $("start-node").addEventListener("click", () => change("join", "Starting"));
  page.actions.push({ text: "Kill", run: (node) => kill(`the node on port ${node.port}`, `kill?port=${node.port}`) });
  page.showPorts = (ports, key) => {
    const held = new Set(ports);
    page.showHolders([...page.rows.values()].filter((node) => held.has(node.port)).map((node) => node.id), nameOf(key));
  };
  all();
  setInterval(() => document.hidden || all(), NODES_MS);
  listen("v1/swarm/events", onEvent, (isConnected, status) => {
    page.connection(isConnected, status);
    if (isConnected) all();
  });
}

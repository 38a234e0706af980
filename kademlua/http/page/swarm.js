// The page of a swarm: all nodes on the ring, their lookups, and nodes that are killed or join.

import { request, listen } from "./api.js";

const $ = (id) => document.getElementById(id);

export function showSwarm(page) {
  $("legend-self").textContent = "the control node";
  $("legend-fresh").textContent = "a node of the swarm";
  $("legend-silent").textContent = "joining";
  $("legend-failed").textContent = "no answer, or dead";
  $("buckets-section").hidden = true;
  $("swarm-section").hidden = false;
  document.title = "Kademlua swarm";
  page.lookups.unlisted = new Set(["settle", "refresh", "probe"]);
  const nodes = new Map();

  function node(each) {
    const kind = each.is_control ? "self" : each.joined ? "fresh" : "silent";
    nodes.set(each.id, kind);
    page.ring.set(each.id, kind);
  }

  async function all() {
    try {
      const swarm = await request("v1/swarm");
      nodes.clear();
      page.ring.replace(new Map());
      swarm.nodes.forEach(node);
    } catch (error) {
      page.health("ill", error.status === 401 ? "enter the token to see this swarm" : "no answer");
    }
  }

  function totals(now) {
    page.traffic.add(now.packets_in, now.packets_out);
    $("traffic-now").textContent = `${now.packets_in} in, ${now.packets_out} out`;
    page.facts({
      nodes: now.nodes.toLocaleString(),
      joined: now.joined.toLocaleString(),
      "lookups a second": now.lookups.toLocaleString(),
      values: now.values.toLocaleString(),
      died: now.died.toLocaleString(),
      came: now.came.toLocaleString(),
    });
    $("who").textContent = `${now.nodes} nodes`;
    $("ring").setAttribute("aria-label", `The ring of ids with ${now.nodes} nodes`);
    const joining = now.nodes - now.joined;
    if (joining > now.nodes / 20) page.health("poor", `${joining} still joining`);
    else page.health("well", "healthy");
  }

  function onEvent(name, data) {
    if (name === "swarm") totals(data);
    else if (name === "node-began" || name === "node-joined") node(data);
    else if (name === "node-ended") {
      nodes.delete(data.id);
      page.ring.set(data.id, "failed");
      setTimeout(() => nodes.has(data.id) || page.ring.delete(data.id), 3000);
    } else if (name.startsWith("lookup-")) page.lookups.onEvent(name, data, data.node);
  }

  async function change(action) {
    try {
      const { port } = await request(`v1/swarm/${action}`, { method: "POST" });
      $("swarm-text").textContent = action === "kill" ? `${port} was killed` : `${port} joins`;
    } catch (error) {
      $("swarm-text").textContent = error.status === 401 ? "Enter the token from the file http-token." : error.message;
    }
  }

  $("stop-node").addEventListener("click", () => change("kill"));
  $("start-node").addEventListener("click", () => change("join"));
  all();
  setInterval(all, 30000);
  listen("v1/swarm/events", onEvent, (isConnected) => {
    if (isConnected) all();
    else page.health("ill", "no connection to the swarm");
  });
}

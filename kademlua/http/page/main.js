// The page of a node or a swarm: its parts, and the form for keys and values.

import { request, setToken, token } from "./api.js";
import { Chart } from "./charts.js";
import { Ring } from "./ring.js";
import { Lookups } from "./lookups.js";
import { showNode } from "./node.js";
import { showSwarm } from "./swarm.js";

const $ = (id) => document.getElementById(id);

const page = {
  ring: new Ring($("ring")),
  traffic: new Chart($("traffic"), ["fresh", "self"], 120),
  times: new Chart($("times"), ["answered"], 60),
  health,
  facts,
};
page.lookups = new Lookups($("lookups"), page);

function health(kind, text) {
  if ($("health-text").textContent !== text) $("health-text").textContent = text;
  $("health").className = `health ${kind}`;
}

// Show figures by name. Write only what changed, so that nothing flickers or is read out twice.
function facts(figures) {
  const list = $("facts");
  for (const [name, figure] of Object.entries(figures)) {
    let place = list.querySelector(`[data-name="${name}"]`);
    if (!place) {
      const box = document.createElement("div");
      const term = document.createElement("dt");
      term.textContent = name;
      place = document.createElement("dd");
      place.dataset.name = name;
      box.append(term, place);
      list.append(box);
    }
    if (place.textContent !== figure) place.textContent = figure;
  }
}

function valueText(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

async function find(path) {
  const { answers } = await request(`v1/values/${path}`);
  const values = new Set(answers.flatMap((answer) => answer.values.map(valueText)));
  return `${[...values].join("\n")}\n(from ${answers.length} node${answers.length > 1 ? "s" : ""})`;
}

async function add(path) {
  const body = JSON.stringify($("value").value);
  const options = { method: "POST", body, headers: { "Content-Type": "application/json" } };
  const report = await request(`v1/values/${path}`, options);
  return `stored on ${report.acknowledged.length} nodes`;
}

async function lookUp(path) {
  const { contacts, seconds } = await request(`v1/lookup/${path}`);
  const lines = contacts.map((each) => `${each.id.slice(0, 12)}…  ${each.address}:${each.port}`);
  return `${contacts.length} nodes in ${(seconds * 1000).toFixed(1)} ms\n${lines.join("\n")}`;
}

$("ask-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const action = event.submitter?.value ?? "find";
  setToken($("token").value);
  const answer = $("answer");
  answer.className = "";
  answer.textContent = "…";
  try {
    const path = encodeURIComponent($("key").value);
    answer.textContent = await { find, add, lookup: lookUp }[action](path);
  } catch (error) {
    answer.className = "wrong";
    answer.textContent = error.status === 401 ? "Enter the token from the file http-token." : error.message;
  }
});

$("token").value = token();
$("token").addEventListener("change", () => {
  setToken($("token").value);
});

(document.body.dataset.of === "swarm" ? showSwarm : showNode)(page);

// The event log: what happened, the latest first.

import { $, make } from "./dom.js";
import { timeOfDay } from "./format.js";

const MAX_LINES = 500;

/** Add a line. @param {string} text @param {"good"|"warning"|"bad"|"info"} [level] */
export function log(text, level = "info") {
  const list = $("log-lines");
  list.querySelector(".empty")?.remove();
  const line = make("li", { class: level }, make("time", {}, timeOfDay()), " ", make("span", {}, text));
  line.hidden = !isWanted(line);
  list.prepend(line);
  while (list.children.length > MAX_LINES) list.lastChild.remove();
}

function isWanted(line) {
  return line.textContent.toLowerCase().includes($("log-search").value.trim().toLowerCase());
}

$("log-search").addEventListener("input", () => {
  for (const line of $("log-lines").children) line.hidden = !isWanted(line);
});

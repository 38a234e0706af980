// Pointer and keyboard on the ring: hover for a label, click or arrow keys to select a node.

import { $, setText } from "./dom.js";
import { endpoint, plural, short } from "./format.js";
import { place } from "./ring-geometry.js";

/**
 * @param {import("./ring.js").Ring} ring
 * @param {Map<string, import("./main.js").NodeRow>} rows
 * @param {(id: string|null) => void} select
 */
export function controlRing(ring, rows, select) {
  const { canvas } = ring;
  const label = $("ring-label");

  function at(event) {
    const box = canvas.getBoundingClientRect();
    return ring.nodes.at(event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2, ring.radius);
  }

  function hover(id) {
    if (ring.hovered === id) return;
    ring.show({ hovered: id });
    canvas.style.cursor = id ? "pointer" : "";
    label.hidden = !id;
    if (!id) return;
    setText(label, describe(id, rows.get(id)));
    const [x, y] = place(id);
    label.style.left = `${canvas.clientWidth / 2 + x * ring.radius * 0.82}px`;
    label.style.top = `${canvas.clientHeight / 2 + y * ring.radius * 0.82}px`;
  }

  canvas.addEventListener("pointermove", (event) => hover(at(event)));
  canvas.addEventListener("pointerleave", () => hover(null));
  canvas.addEventListener("click", (event) => select(at(event)));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step) select(ring.nodes.neighbour(ring.selected, step));
    else if (event.key === "Escape") select(null);
    else return;
    event.preventDefault();
  });
}

function describe(id, row) {
  if (!row) return short(id);
  const figures = [short(id), endpoint(row)];
  if (row.contacts !== undefined) figures.push(plural(row.contacts, "contact"));
  if (row.values !== undefined) figures.push(plural(row.values, "value"));
  if (row.rtt_seconds) figures.push(`${(row.rtt_seconds * 1000).toFixed(1)} ms`);
  return figures.join(" · ");
}

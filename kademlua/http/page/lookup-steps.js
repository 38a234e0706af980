// A pinned lookup: its steps in a list, and the ring as it was after each step.

import { $, button, make, setText } from "./dom.js";
import { endpoint, milliseconds, short } from "./format.js";

export class StepViewer {
  /** @param {import("./ring.js").Ring} ring */
  constructor(ring) {
    this.ring = ring;
    /** @type {import("./lookups.js").Lookup|null} */
    this.lookup = null;
    this.count = 0; // the number of steps that are shown
    $("step-back").addEventListener("click", () => this.go(this.count - 1));
    $("step-forward").addEventListener("click", () => this.go(this.count + 1));
    $("step-slider").addEventListener("input", () => this.go(Number($("step-slider").value)));
    $("unpin").addEventListener("click", () => this.unpin());
    $("pinned").addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.unpin();
    });
  }

  /** @param {import("./lookups.js").Lookup} lookup */
  pin(lookup) {
    this.lookup = lookup;
    $("pinned").hidden = false;
    setText($("pinned-title"), `${lookup.name}: ${lookup.cause}, ${milliseconds(lookup.seconds)}`);
    $("step-slider").max = lookup.steps.length;
    $("steps").replaceChildren(
      ...lookup.steps.map((step, at) =>
        make("li", {}, button(describe(step), () => this.go(at + 1), { class: step.state, title: step.id })),
      ),
    );
    this.go(lookup.steps.length);
    $("step-back").focus();
  }

  unpin() {
    this.lookup = null;
    $("pinned").hidden = true;
    this.ring.show({ pinned: null });
  }

  go(count) {
    const { lookup } = this;
    if (!lookup) return;
    this.count = Math.max(0, Math.min(count, lookup.steps.length));
    $("step-slider").value = this.count;
    setText($("step-text"), `step ${this.count} of ${lookup.steps.length}`);
    const lines = new Map();
    for (const { id, from, state } of lookup.steps.slice(0, this.count))
      lines.set(id, { from: lines.get(id)?.from ?? from, state, at: 0, until: 0 });
    [...$("steps").children].forEach((line, at) => line.classList.toggle("later", at >= this.count));
    const current = $("steps").children[this.count - 1];
    if (current) $("steps").scrollTop = current.offsetTop - $("steps").clientHeight / 2;
    const { origin, target, name } = lookup;
    this.ring.show({ pinned: { origin, target, name, isOwn: true, lines } });
  }
}

function describe(step) {
  const what = {
    queried: `asked ${endpoint(step)}`,
    answered: `${endpoint(step)} answered with ${step.reported} new contacts`,
    failed: `${endpoint(step)} did not answer`,
  }[step.state];
  return `${step.ms.toFixed(1)} ms  ${what}  (${short(step.id)})`;
}

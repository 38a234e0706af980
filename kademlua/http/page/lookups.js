// Lookups from their events: the user's own stay in a list, background traffic passes.

import { $, make } from "./dom.js";
import { milliseconds } from "./format.js";
import { nameOf } from "./keys.js";
import { StepViewer } from "./lookup-steps.js";

const MAX_OWN = 50;
const MAX_BACKGROUND = 30;
const MAX_UNFINISHED = 200;
const OWN_CAUSES = new Set(["find_node", "find_value", "store", "remove", "publish"]);
const STATES = { "lookup-queried": "queried", "lookup-answered": "answered", "lookup-failed": "failed" };

/**
 * @typedef {{state: string, id: string, address: string, port: number, from: string, reported: number, ms: number}} Step
 * @typedef {{number: string|number, origin: string, target: string, name: string, cause: string, isOwn: boolean,
 *   seconds: number|null, steps: Step[], responders: Map<string, string>}} Lookup
 */

export class Lookups {
  /** @param {import("./ring.js").Ring} ring @param {(seconds: number, isOwn: boolean) => void} onDuration */
  constructor(ring, onDuration) {
    this.ring = ring;
    this.onDuration = onDuration;
    this.viewer = new StepViewer(ring);
    this.self = null; // the id of the node whose lookups may be the user's own
    /** @type {Map<string|number, Lookup>} */
    this.unfinished = new Map();
    const toggle = $("background");
    toggle.checked = localStorage.getItem("kademlua-background") !== "off";
    toggle.addEventListener("change", () => {
      localStorage.setItem("kademlua-background", toggle.checked ? "on" : "off");
      this.applyToggle();
    });
    this.applyToggle();
  }

  applyToggle() {
    const isOn = $("background").checked;
    this.ring.show({ showsBackground: isOn });
    $("background-title").hidden = $("background-lookups").hidden = !isOn;
  }

  /** @param {string} event @param {any} data @param {string} origin the id of the node that runs it */
  onEvent(event, data, origin) {
    if (event === "lookup-began") return this.began(data, origin);
    const lookup = this.unfinished.get(data.lookup);
    if (!lookup) return undefined;
    if (event === "lookup-ended") return this.ended(lookup, data.seconds);
    if (event in STATES) this.step(lookup, STATES[event], data);
    return undefined;
  }

  began(data, origin) {
    const isOwn = origin === this.self && OWN_CAUSES.has(data.cause);
    const lookup = {
      number: data.lookup, origin, target: data.target, name: nameOf(data.target), cause: (data.cause || data.rpc).replace("_", " "),
      isOwn, seconds: null, steps: [], responders: new Map(),
    };
    this.unfinished.set(lookup.number, lookup);
    if (this.unfinished.size > MAX_UNFINISHED) this.unfinished.delete(this.unfinished.keys().next().value);
    this.ring.begin(lookup);
  }

  step(lookup, state, { contact, seconds, reported = [] }) {
    const from = lookup.responders.get(contact.id) ?? lookup.origin;
    const found = reported.filter((id) => !lookup.responders.has(id));
    for (const id of found) lookup.responders.set(id, contact.id);
    const step = { ...contact, state, from, reported: found.length, ms: seconds * 1000 };
    lookup.steps.push(step);
    this.ring.step(lookup.number, step);
  }

  ended(lookup, seconds) {
    this.unfinished.delete(lookup.number);
    this.ring.end(lookup.number);
    lookup.seconds = seconds;
    lookup.name = nameOf(lookup.target); // its text may be known only now
    const drawn = this.ring.lookups.get(lookup.number);
    if (drawn) drawn.name = lookup.name;
    this.onDuration(seconds, lookup.isOwn);
    const list = $(lookup.isOwn ? "lookups" : "background-lookups");
    list.querySelector(".empty")?.remove();
    list.prepend(this.line(lookup));
    while (list.children.length > (lookup.isOwn ? MAX_OWN : MAX_BACKGROUND)) list.lastChild.remove();
  }

  line(lookup) {
    const queries = lookup.steps.filter((step) => step.state === "queried").length;
    const pin = make(
      "button",
      { type: "button", title: "Pin this lookup and step through it", onclick: () => this.viewer.pin(lookup) },
      make("span", {}, `${lookup.name} ${lookup.cause}`),
      make("span", {}, `${queries} queried, ${milliseconds(lookup.seconds)}`),
    );
    return make("li", {}, pin);
  }

  /** Show the text of keys that became known after their lookups. */
  rename() {
    for (const lookup of this.ring.lookups.values()) lookup.name = nameOf(lookup.target);
    this.ring.draw();
  }
}

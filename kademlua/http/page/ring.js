// The ring of ids: nodes at the angle of their id, and lookups as they move from node to node.

import { addChord, place } from "./ring-geometry.js";
import { RingNodes } from "./ring-nodes.js";

const FADE = 4000; // ms until a finished lookup has faded
const PACE = 30; // minimum ms between two drawn steps of a lookup; real steps are too quick to see
const GROW = 180; // ms in which a line grows from node to node
const MAX_DRAWN = 40; // lookups drawn at the same time
const FAINT = 0.22; // opacity of background traffic
const STATES = ["queried", "answered", "failed"];

const still = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * @typedef {{from: string, state: string, at: number, until: number}} Line
 * @typedef {{origin: string, target: string, name: string, isOwn: boolean, lines: Map<string, Line>, shown: number, ended: number}} Drawn
 */

export class Ring {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.nodes = new RingNodes();
    /** @type {Map<string|number, Drawn>} */
    this.lookups = new Map();
    this.pinned = null; // {origin, target, name, lines} of a lookup to show alone
    this.highlighted = new Set(); // ids of the nodes that hold a key
    this.selected = null;
    this.hovered = null;
    this.latestOwn = null; // its lookup stays
    this.showsBackground = true;
    this.hasDrawn = false;
    this.waits = false;
    this.colours = new Map();
    new ResizeObserver(() => this.draw()).observe(canvas);
    document.addEventListener("theme", () => {
      this.colours.clear();
      this.nodes.isStale = true;
      this.draw();
    });
    document.addEventListener("visibilitychange", () => this.draw());
  }

  // Nodes.

  set(id, kind) {
    if (this.nodes.set(id, kind)) this.draw();
  }

  replace(kinds) {
    if (this.nodes.replace(kinds)) this.draw();
  }

  delete(id) {
    if (this.nodes.delete(id)) this.draw();
  }

  /** Change which nodes and lookups stand out. @param {Partial<Ring>} changes */
  show(changes) {
    Object.assign(this, changes);
    this.draw();
  }

  // Lookups.

  /** @param {import("./lookups.js").Lookup} lookup */
  begin(lookup) {
    const { origin, target, name, isOwn } = lookup;
    this.lookups.set(lookup.number, { origin, target, name, isOwn, lines: new Map(), shown: 0, ended: 0 });
    if (isOwn) this.latestOwn = lookup.number;
    for (const number of this.lookups.keys()) {
      if (this.lookups.size <= MAX_DRAWN) break;
      if (number !== this.latestOwn) this.lookups.delete(number);
    }
    this.draw();
  }

  /** Show a step of a lookup. @param {import("./lookups.js").Step} step */
  step(number, step) {
    const lookup = this.lookups.get(number);
    if (!lookup) return;
    const at = still.matches ? 0 : Math.max(performance.now(), lookup.shown + PACE);
    const previous = lookup.lines.get(step.id);
    if (previous) {
      Object.assign(previous, { state: step.state, until: previous.at + GROW });
    } else {
      lookup.lines.set(step.id, { from: step.from, state: step.state, at, until: 0 });
      lookup.shown = at;
    }
    this.draw();
  }

  end(number) {
    const lookup = this.lookups.get(number);
    if (lookup) lookup.ended = Math.max(performance.now(), lookup.shown + GROW);
    this.draw();
  }

  // Drawing.

  draw() {
    if (this.waits || document.hidden || !this.canvas.clientWidth) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      this.paint();
    });
  }

  paint() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio)) this.nodes.isStale = true;
    const size = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    this.radius = Math.min(width, height) / 2 - 22;
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.setTransform(ratio, 0, 0, ratio, canvas.width / 2, canvas.height / 2);
    pen.strokeStyle = this.colour("line");
    pen.lineWidth = 1;
    pen.beginPath();
    pen.arc(0, 0, this.radius, 0, 2 * Math.PI);
    pen.stroke();
    const moves = this.paintLookups(pen, performance.now());
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.drawImage(this.nodes.draw(canvas, ratio, this.radius, (name) => this.colour(name)), 0, 0);
    pen.setTransform(ratio, 0, 0, ratio, canvas.width / 2, canvas.height / 2);
    this.paintMarks(pen);
    if (!this.hasDrawn && this.nodes.kinds.size) {
      this.hasDrawn = true;
      performance.mark("nodes-drawn");
    }
    if (moves && still.matches) setTimeout(() => this.draw(), FADE);
    else if (moves) this.draw();
  }

  paintLookups(pen, now) {
    let moves = false;
    for (const [number, lookup] of this.lookups) {
      const age = lookup.ended ? Math.max(0, now - lookup.ended) : 0;
      const stays = number === this.latestOwn;
      if (age > FADE && !stays) this.lookups.delete(number);
      else if (lookup.isOwn || this.showsBackground) {
        const fade = still.matches || stays ? 1 : 1 - age / FADE;
        const strength = (lookup.isOwn ? 1 : FAINT) * (this.pinned ? 0.3 : 1);
        this.paintLookup(pen, lookup, now, fade * strength);
      }
      moves ||= now < lookup.shown + GROW || (lookup.ended > 0 && !stays);
    }
    if (this.pinned) this.paintLookup(pen, this.pinned, Infinity, 1);
    return moves;
  }

  /** @param {Drawn} lookup */
  paintLookup(pen, lookup, now, alpha) {
    pen.globalAlpha = alpha;
    const paths = new Map(STATES.map((state) => [state, []]));
    for (const [id, line] of lookup.lines)
      if (now >= line.at) paths.get(now < line.until ? "queried" : line.state).push([id, line]);
    for (const [state, lines] of paths) {
      if (!lines.length) continue;
      pen.strokeStyle = this.colour(state);
      pen.lineWidth = (state === "answered" ? 1.4 : 1) * (lookup.isOwn ? 1.6 : 1);
      pen.setLineDash(state === "failed" ? [4, 4] : []);
      pen.beginPath();
      for (const [id, { from, at }] of lines)
        addChord(pen, this.radius, from, id, still.matches ? 1 : Math.min(1, (now - at) / GROW));
      pen.stroke();
    }
    pen.setLineDash([]);
    this.paintTarget(pen, lookup);
    pen.globalAlpha = 1;
  }

  paintTarget(pen, lookup) {
    const [x, y] = place(lookup.target);
    const distance = this.radius + 13;
    pen.fillStyle = this.colour("target");
    pen.save();
    pen.translate(x * distance, y * distance);
    pen.rotate(Math.PI / 4);
    pen.fillRect(-4, -4, 8, 8);
    pen.restore();
    if (!lookup.isOwn) return;
    pen.font = "600 12px system-ui, sans-serif";
    pen.fillStyle = this.colour("ink");
    pen.textAlign = x > 0 ? "right" : "left";
    pen.fillText(lookup.name.slice(0, 24), x * (this.radius - 14), y * (this.radius - 14) + 4);
  }

  paintMarks(pen) {
    const circle = (id, size, colour, width) => {
      const [x, y] = place(id).map((each) => each * this.radius);
      pen.strokeStyle = this.colour(colour);
      pen.lineWidth = width;
      pen.beginPath();
      pen.arc(x, y, size, 0, 2 * Math.PI);
      pen.stroke();
    };
    for (const id of this.highlighted) circle(id, 8, "target", 2.5);
    if (this.hovered) circle(this.hovered, 9, "quiet", 1.5);
    if (this.selected) circle(this.selected, 11, "ink", 2);
  }

  colour(name) {
    let found = this.colours.get(name);
    if (found === undefined) {
      found = getComputedStyle(this.canvas).getPropertyValue(`--${name}`);
      this.colours.set(name, found);
    }
    return found;
  }
}

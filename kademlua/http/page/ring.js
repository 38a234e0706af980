// The ring of ids: nodes at the angle of their id, and lookups as they move from node to node.

const FADE = 4000; // ms until a finished lookup has faded
const PACE = 30; // minimum ms between two drawn steps of a lookup; real steps are too quick to see
const GROW = 180; // ms in which a line grows from node to node
const MAX_LOOKUPS = 40; // lookups drawn at the same time

const still = matchMedia("(prefers-reduced-motion: reduce)");

// Return the position of an id on the ring, from 0 to 1.
export function turn(id) {
  return parseInt(id.slice(0, 8), 16) / 2 ** 32;
}

const places = new Map();

// Return the coordinates of an id on a ring of radius 1.
function place(id) {
  let found = places.get(id);
  if (!found) {
    if (places.size > 20000) places.clear();
    const angle = 2 * Math.PI * turn(id) - Math.PI / 2;
    found = [Math.cos(angle), Math.sin(angle)];
    places.set(id, found);
  }
  return found;
}

export class Ring {
  constructor(canvas) {
    this.canvas = canvas;
    this.nodes = new Map(); // id → kind
    this.lookups = new Map(); // number → { target, origin, steps, responders, shown, ended }
    this.hasDrawn = false;
    this.chosen = null;
    this.waits = false;
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    document.addEventListener("visibilitychange", () => this.draw());
  }

  set(id, kind) {
    this.nodes.set(id, kind);
    this.draw();
  }

  replace(nodes) {
    this.nodes = nodes;
    this.draw();
  }

  delete(id) {
    this.nodes.delete(id);
    this.draw();
  }

  begin(number, origin, target) {
    const lookup = { origin, target, steps: new Map(), responders: new Map(), shown: 0, ended: 0 };
    this.lookups.set(number, lookup);
    if (this.lookups.size > MAX_LOOKUPS) this.lookups.delete(this.lookups.keys().next().value);
    this.draw();
  }

  // Show a query: "queried", "answered" or "failed". Its line starts at the node that reported the
  // contact. reported: ids in the answer.
  step(number, id, state, reported = []) {
    const lookup = this.lookups.get(number);
    if (!lookup) return;
    const at = still.matches ? 0 : Math.max(performance.now(), lookup.shown + PACE);
    const previous = lookup.steps.get(id);
    if (previous) Object.assign(previous, { state, until: previous.at + GROW });
    else lookup.steps.set(id, { from: lookup.responders.get(id) ?? lookup.origin, state, at, until: 0 });
    if (!previous) lookup.shown = at;
    for (const each of reported) if (!lookup.responders.has(each)) lookup.responders.set(each, id);
    this.draw();
  }

  end(number) {
    const lookup = this.lookups.get(number);
    if (lookup) lookup.ended = Math.max(performance.now(), lookup.shown + GROW);
    this.draw();
  }

  choose(number) {
    this.chosen = number;
    this.draw();
  }

  draw() {
    if (this.waits || document.hidden) return;
    this.waits = true;
    requestAnimationFrame(() => {
      this.waits = false;
      this.paint();
    });
  }

  paint() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    const size = Math.min(canvas.clientWidth, canvas.clientHeight);
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.translate(canvas.clientWidth / 2, canvas.clientHeight / 2);
    this.radius = size / 2 - 18;
    this.style = getComputedStyle(canvas);
    pen.strokeStyle = this.colour("line");
    pen.beginPath();
    pen.arc(0, 0, this.radius, 0, 2 * Math.PI);
    pen.stroke();
    const now = performance.now();
    let moves = false;
    for (const [number, lookup] of this.lookups) moves = this.paintLookup(pen, number, lookup, now) || moves;
    this.paintNodes(pen);
    if (!this.hasDrawn && this.nodes.size) {
      this.hasDrawn = true;
      performance.mark("nodes-drawn");
    }
    if (moves) {
      if (still.matches) setTimeout(() => this.draw(), FADE);
      else this.draw();
    }
  }

  paintLookup(pen, number, lookup, now) {
    const age = lookup.ended ? Math.max(0, now - lookup.ended) : 0;
    const isChosen = this.chosen === number;
    if (age > FADE && !isChosen) {
      if (age > 60 * FADE) this.lookups.delete(number);
      return false;
    }
    const fade = still.matches || isChosen ? 1 : 1 - age / FADE;
    pen.globalAlpha = this.chosen === null || isChosen ? fade : fade * 0.15;
    for (const [id, { from, state, at, until }] of lookup.steps) {
      if (now < at) continue;
      const shown = now < until ? "queried" : state;
      pen.strokeStyle = this.colour(shown);
      pen.lineWidth = shown === "answered" ? 1.4 : 1;
      pen.setLineDash(shown === "failed" ? [4, 4] : []);
      this.chord(pen, from, id, still.matches ? 1 : Math.min(1, (now - at) / GROW));
    }
    pen.setLineDash([]);
    const [x, y] = place(lookup.target).map((each) => each * (this.radius + 12));
    pen.fillStyle = this.colour("target");
    pen.save();
    pen.translate(x, y);
    pen.rotate(Math.PI / 4);
    pen.fillRect(-4, -4, 8, 8);
    pen.restore();
    pen.globalAlpha = 1;
    return now < lookup.shown + GROW || (lookup.ended > 0 && !isChosen);
  }

  paintNodes(pen) {
    const dot = Math.max(2, Math.min(4.5, 260 / Math.sqrt(this.nodes.size * 40 + 1)));
    for (const kind of ["silent", "fresh", "failed", "self"]) {
      pen.fillStyle = this.colour(kind);
      for (const [id, its] of this.nodes) {
        if (its !== kind) continue;
        const [x, y] = place(id);
        pen.beginPath();
        pen.arc(x * this.radius, y * this.radius, kind === "self" ? 7 : dot, 0, 2 * Math.PI);
        pen.fill();
      }
    }
  }

  // Draw an arc from one id to another, up to the share grown. It is flat between neighbours, and
  // crosses the centre between opposite ids.
  chord(pen, from, to, grown) {
    const { radius } = this;
    const [x0, y0] = place(from);
    const [x1, y1] = place(to);
    const bend = 0.46 - 0.2 * Math.hypot(x1 - x0, y1 - y0);
    const [cx, cy] = [(x0 + x1) * bend, (y0 + y1) * bend];
    const [ax, ay] = [x0 + (cx - x0) * grown, y0 + (cy - y0) * grown];
    const [bx, by] = [cx + (x1 - cx) * grown, cy + (y1 - cy) * grown];
    pen.beginPath();
    pen.moveTo(x0 * radius, y0 * radius);
    pen.quadraticCurveTo(ax * radius, ay * radius, (ax + (bx - ax) * grown) * radius, (ay + (by - ay) * grown) * radius);
    pen.stroke();
  }

  colour(name) {
    return this.style.getPropertyValue(`--${name}`);
  }
}

// The ring of ids: nodes at the angle of their id, and lookups as they go from node to node.

const FADE = 4000; // ms for which a lookup that has ended can still be seen
const MOST = 40; // lookups drawn at a time

const still = matchMedia("(prefers-reduced-motion: reduce)");

// The place of an id on the ring, as a share of it.
export function turn(id) {
  return parseInt(id.slice(0, 8), 16) / 2 ** 32;
}

export class Ring {
  constructor(canvas) {
    this.canvas = canvas;
    this.nodes = new Map(); // id → { kind, title }
    this.lookups = new Map(); // number → { target, origin, steps, ended }
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
    this.lookups.set(number, { origin, target, steps: new Map(), tellers: new Map(), ended: 0 });
    if (this.lookups.size > MOST) this.lookups.delete(this.lookups.keys().next().value);
    this.draw();
  }

  // A lookup's step to a node: "asked", "answered" or "failed"; it starts at who told of the node.
  step(number, id, state, told = []) {
    const lookup = this.lookups.get(number);
    if (!lookup) return;
    const from = lookup.steps.get(id)?.from ?? lookup.tellers.get(id) ?? lookup.origin;
    lookup.steps.set(id, { from, state });
    for (const each of told) if (!lookup.tellers.has(each)) lookup.tellers.set(each, id);
    this.draw();
  }

  end(number) {
    const lookup = this.lookups.get(number);
    if (lookup) lookup.ended = performance.now();
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
    this.radius = size / 2 - 16;
    this.style = getComputedStyle(canvas);
    pen.strokeStyle = this.colour("line");
    pen.beginPath();
    pen.arc(0, 0, this.radius, 0, 2 * Math.PI);
    pen.stroke();
    const now = performance.now();
    let moves = false;
    for (const [number, lookup] of this.lookups) moves = this.paintLookup(pen, number, lookup, now) || moves;
    this.paintNodes(pen);
    if (moves) {
      if (still.matches) setTimeout(() => this.draw(), FADE);
      else this.draw();
    }
  }

  paintLookup(pen, number, lookup, now) {
    const age = lookup.ended ? now - lookup.ended : 0;
    const isChosen = this.chosen === number;
    if (age > FADE && !isChosen) {
      if (age > 60 * FADE) this.lookups.delete(number);
      return false;
    }
    const fade = still.matches || isChosen ? 1 : 1 - age / FADE;
    pen.globalAlpha = this.chosen === null || isChosen ? fade : fade * 0.15;
    for (const [id, { from, state }] of lookup.steps) {
      pen.strokeStyle = this.colour(state);
      pen.lineWidth = state === "answered" ? 1.5 : 1;
      pen.setLineDash(state === "failed" ? [4, 4] : []);
      this.chord(pen, from, id);
    }
    pen.setLineDash([]);
    const [x, y] = this.place(lookup.target, 1.035);
    pen.fillStyle = this.colour("target");
    pen.save();
    pen.translate(x, y);
    pen.rotate(Math.PI / 4);
    pen.fillRect(-4, -4, 8, 8);
    pen.restore();
    pen.globalAlpha = 1;
    return lookup.ended > 0 && !isChosen;
  }

  paintNodes(pen) {
    const dot = Math.max(2, Math.min(4.5, 260 / Math.sqrt(this.nodes.size * 40 + 1)));
    for (const kind of ["silent", "fresh", "failed", "self"]) {
      pen.fillStyle = this.colour(kind);
      for (const [id, its] of this.nodes) {
        if (its !== kind) continue;
        const [x, y] = this.place(id);
        pen.beginPath();
        pen.arc(x, y, kind === "self" ? 7 : dot, 0, 2 * Math.PI);
        pen.fill();
      }
    }
  }

  chord(pen, from, to) {
    const [x0, y0] = this.place(from);
    const [x1, y1] = this.place(to);
    pen.beginPath();
    pen.moveTo(x0, y0);
    pen.quadraticCurveTo((x0 + x1) / 8, (y0 + y1) / 8, x1, y1);
    pen.stroke();
  }

  place(id, out = 1) {
    const angle = 2 * Math.PI * turn(id) - Math.PI / 2;
    return [Math.cos(angle) * this.radius * out, Math.sin(angle) * this.radius * out];
  }

  colour(name) {
    return this.style.getPropertyValue(`--${name}`);
  }
}

// The nodes on the ring: a picture that is drawn again only when something changed, and the search
// for the node at a point.

import { place, turn } from "./ring-geometry.js";

const KINDS = ["silent", "fresh", "failed", "self"]; // the last ones are on top
const REACH = 14; // pixels between the pointer and a node

export class RingNodes {
  constructor() {
    /** @type {Map<string, string>} id → kind */
    this.kinds = new Map();
    this.picture = document.createElement("canvas");
    this.isStale = true;
    this.sorted = null;
  }

  set(id, kind) {
    if (this.kinds.get(id) === kind) return false;
    if (!this.kinds.has(id)) this.sorted = null;
    this.kinds.set(id, kind);
    return (this.isStale = true);
  }

  /** @param {Map<string, string>} kinds */
  replace(kinds) {
    const isSame = kinds.size === this.kinds.size && [...kinds].every(([id, kind]) => this.kinds.get(id) === kind);
    if (isSame) return false;
    this.kinds = new Map(kinds);
    this.sorted = null;
    return (this.isStale = true);
  }

  delete(id) {
    if (!this.kinds.delete(id)) return false;
    this.sorted = null;
    return (this.isStale = true);
  }

  /** The ids clockwise. */
  get order() {
    this.sorted ??= [...this.kinds.keys()].sort();
    return this.sorted;
  }

  /** Return the picture in the size of a canvas. @param {(name: string) => string} colour */
  draw(canvas, ratio, radius, colour) {
    const { picture } = this;
    if (!this.isStale && picture.width === canvas.width && picture.height === canvas.height) return picture;
    picture.width = canvas.width;
    picture.height = canvas.height;
    const pen = picture.getContext("2d");
    pen.scale(ratio, ratio);
    pen.translate(canvas.width / ratio / 2, canvas.height / ratio / 2);
    const dot = Math.max(2, Math.min(4.5, 260 / Math.sqrt(this.kinds.size * 40 + 1)));
    for (const kind of KINDS) {
      pen.fillStyle = colour(kind);
      pen.beginPath();
      for (const [id, its] of this.kinds) {
        if (its !== kind) continue;
        const [x, y] = place(id).map((each) => each * radius);
        const size = kind === "self" ? 7 : dot;
        pen.moveTo(x + size, y);
        pen.arc(x, y, size, 0, 2 * Math.PI);
      }
      pen.fill();
    }
    this.isStale = false;
    return picture;
  }

  /** Return the id of the node nearest to a point, or null. x, y: pixels from the centre. */
  at(x, y, radius) {
    let nearest = null;
    let least = REACH;
    for (const id of this.kinds.keys()) {
      const [nodeX, nodeY] = place(id);
      const distance = Math.hypot(nodeX * radius - x, nodeY * radius - y);
      if (distance < least) [nearest, least] = [id, distance];
    }
    return nearest;
  }

  /** Return the next node clockwise (step 1) or the other way (-1). @param {string|null} id */
  neighbour(id, step) {
    const { order } = this;
    if (!order.length) return null;
    if (id === null) return order.find((each) => this.kinds.get(each) === "self") ?? order[0];
    const at = order.findIndex((each) => turn(each) >= turn(id));
    return order[(at + step + order.length) % order.length];
  }
}

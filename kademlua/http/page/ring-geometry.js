// Positions of ids on the ring.

const MAX_CACHED = 20000;
/** @type {Map<string, [number, number]>} */
const places = new Map();

/** Return the position of an id on the ring, from 0 to 1, clockwise from the top. @param {string} id */
export function turn(id) {
  return parseInt(id.slice(0, 8), 16) / 2 ** 32;
}

/** Return the coordinates of an id on a ring of radius 1. @param {string} id @returns {[number, number]} */
export function place(id) {
  let found = places.get(id);
  if (!found) {
    if (places.size > MAX_CACHED) places.clear();
    const angle = 2 * Math.PI * turn(id) - Math.PI / 2;
    found = [Math.cos(angle), Math.sin(angle)];
    places.set(id, found);
  }
  return found;
}

/**
 * Add an arc from one id to another to the current path, up to the share grown. It is flat between
 * neighbours, and crosses the centre between opposite ids.
 */
export function addChord(pen, radius, from, to, grown) {
  const [x0, y0] = place(from);
  const [x1, y1] = place(to);
  const bend = 0.46 - 0.2 * Math.hypot(x1 - x0, y1 - y0);
  const [cx, cy] = [(x0 + x1) * bend, (y0 + y1) * bend];
  const [ax, ay] = [x0 + (cx - x0) * grown, y0 + (cy - y0) * grown];
  const [bx, by] = [cx + (x1 - cx) * grown, cy + (y1 - cy) * grown];
  pen.moveTo(x0 * radius, y0 * radius);
  pen.quadraticCurveTo(ax * radius, ay * radius, (ax + (bx - ax) * grown) * radius, (ay + (by - ay) * grown) * radius);
}

// Quantities as text, and the other way round.

const UNITS = { s: 1, m: 60, h: 3600, d: 86400 };

/** Return a duration in its two largest units. @param {number} seconds */
export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [days, hours, minutes] = [whole / 86400, whole / 3600, whole / 60].map(Math.floor);
  const two = (large, small) => (small.startsWith("0") ? large : `${large} ${small}`);
  if (days) return two(`${days} d`, `${hours % 24} h`);
  if (hours) return two(`${hours} h`, `${minutes % 60} min`);
  return minutes ? two(`${minutes} min`, `${whole % 60} s`) : `${whole} s`;
}

/**
 * Return the seconds of a text such as 90, 90s, 5m, 1h or 30d; null if it is empty.
 * @param {string} text @param {number} maximum seconds
 */
export function parseTtl(text, maximum) {
  if (!text.trim()) return null;
  const found = /^(\d+)\s*([smhd]?)$/.exec(text.trim());
  if (!found) throw new Error("TTL: a number with s, m, h or d, such as 90s, 1h or 30d.");
  const seconds = Number(found[1]) * UNITS[found[2] || "s"];
  if (seconds < 1 || seconds > maximum) throw new Error(`TTL: 1 s to ${duration(maximum)}.`);
  return seconds;
}

/** @param {number} count */
export function bytes(count) {
  if (count < 1000) return `${count} B`;
  return count < 1e6 ? `${(count / 1e3).toFixed(1)} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

/** @param {number} seconds */
export function milliseconds(seconds) {
  const ms = seconds * 1000;
  return `${ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString("en")} ms`;
}

/** @param {number} count @param {string} noun */
export function plural(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** @param {string} id 40 hex digits */
export const short = (id) => `${id.slice(0, 8)}…`;

export const timeOfDay = () => new Date().toTimeString().slice(0, 8);

/** @param {{address?: string, port: number}} node */
export function endpoint(node) {
  const address = node.address ?? "";
  return `${address.includes(":") ? `[${address}]` : address}:${node.port}`;
}

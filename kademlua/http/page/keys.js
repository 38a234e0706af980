// The texts of keys. The network knows only their SHA-1; this browser remembers the texts that it used.

const STORAGE_KEY = "kademlua-keys";
const MAX_KEYS = 500;

/** @type {Map<string, string>} hex digits → text */
const texts = new Map(read());

function read() {
  try {
    return JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "[]");
  } catch {
    return [];
  }
}

/** Remember the text of a key. @param {string} hex @param {string} text */
export function remember(hex, text) {
  texts.delete(hex);
  texts.set(hex, text);
  if (texts.size > MAX_KEYS) texts.delete(texts.keys().next().value);
  localStorage.setItem(STORAGE_KEY, JSON.stringify([...texts]));
}

/** Return the text of a key, or undefined. @param {string} hex */
export const textOf = (hex) => texts.get(hex);

/** Return the text of a key, or the first of its digits. @param {string} hex */
export const nameOf = (hex) => texts.get(hex) ?? `${hex.slice(0, 8)}…`;

/**
 * Return the key of a text, its SHA-1 in hex digits, or null: browsers hash only on localhost and over HTTPS.
 * @param {string} text
 */
export async function hashOf(text) {
  if (!globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return whether a key matches a search: part of its text, or the start of its digits. */
export function matches(hex, search) {
  const wanted = search.trim().toLowerCase();
  return hex.startsWith(wanted) || Boolean(texts.get(hex)?.toLowerCase().includes(wanted));
}

/**
 * Return the end of a path for a key: 40 hex digits are the key itself, other text is hashed.
 * @param {string} key @param {Record<string, string|number|boolean|null>} [query]
 */
export function keyPath(key, query = {}) {
  const isHex = /^[0-9a-f]{40}$/i.test(key);
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...query, hex: isHex || null }))
    if (value !== null && value !== false) search.set(name, String(value));
  return `${encodeURIComponent(key)}${search.size ? `?${search}` : ""}`;
}

/** Remember the text of a key from the reply to a request with it. */
export function learn(key, reply) {
  if (reply?.key && !/^[0-9a-f]{40}$/i.test(key)) remember(reply.key, key);
}

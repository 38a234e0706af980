// Requests to the API and the stream of events. All send the token if there is one. EventSource
// cannot send it, so fetch reads the stream.

const STORAGE_KEY = "kademlua-token";
const RETRY_MS = 1000;
const SILENT_MS = 4000; // the main stream has an event each second; a silent one is dead

export const token = () => sessionStorage.getItem(STORAGE_KEY) ?? "";

export function setToken(text) {
  sessionStorage.setItem(STORAGE_KEY, text.trim());
}

/** Take the token from the fragment of the URL, and remove it there and from the history. Return whether there was one. */
export function takeTokenFromUrl() {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (!found) return false;
  setToken(decodeURIComponent(found[1]));
  history.replaceState(null, "", location.pathname);
  return true;
}

function headers(more = {}) {
  const current = token();
  return current ? { ...more, Authorization: `Bearer ${current}` } : more;
}

/** An error with the words to show, and the HTTP status; 0 if there was no reply. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Called after each 401, with the error. */
export const onRefused = new Set();

/**
 * Return the JSON of a reply.
 * @param {string} path @param {RequestInit} [options]
 * @throws {ApiError}
 */
export async function request(path, options = {}) {
  let reply;
  try {
    reply = await fetch(path, { ...options, headers: headers(options.headers), cache: "no-store" });
  } catch {
    throw new ApiError("No reply: does the node still run?", 0);
  }
  const body = await reply.json().catch(() => ({}));
  if (reply.ok) return body;
  const error = new ApiError(sentence(body.detail || body.title || `Status ${reply.status}`), reply.status);
  if (reply.status === 401) {
    error.message = sentence(body.detail?.replace(/, send it as.*$/, "") ?? "This needs the token");
    for (const listener of onRefused) listener(error);
  }
  throw error;
}

/** Send text, the bytes of a file, or nothing. @param {string} method @param {string} path @param {string|Blob} [value] */
export function send(method, path, value) {
  if (value === undefined) return request(path, { method });
  return request(path, { method, body: value, headers: { "Content-Type": "application/octet-stream" } });
}

function sentence(text) {
  const start = text[0].toUpperCase() + text.slice(1);
  return /[.?!]$/.test(start) ? start : `${start}.`;
}

/**
 * Follow a stream of events until the signal, by default for ever.
 * @param {string} path
 * @param {(name: string, data: any) => void} onEvent
 * @param {(isConnected: boolean, status: number) => void} onState called when the stream starts or ends; status: that of a refusal, else 0
 * @param {{silentMs?: number, signal?: AbortSignal}} [options] silentMs: after so long without bytes it connects again
 */
export async function listen(path, onEvent, onState, { silentMs = SILENT_MS, signal } = {}) {
  let control = new AbortController();
  // A browser keeps the page that it leaves, and the stream would occupy one of six connections.
  addEventListener("pagehide", () => control.abort(), { signal });
  signal?.addEventListener("abort", () => control.abort());
  while (!signal?.aborted) {
    let status = 0;
    control = new AbortController();
    const watch = { heardAt: performance.now() };
    const timer = setInterval(() => {
      if (!document.hidden && performance.now() - watch.heardAt > silentMs) control.abort();
    }, 500);
    try {
      const reply = await fetch(path, { headers: headers(), cache: "no-store", signal: control.signal });
      if (!reply.ok) status = reply.status;
      else {
        onState(true, 0);
        await read(reply.body.getReader(), (...event) => signal?.aborted || onEvent(...event), watch);
      }
    } catch {
      // Whatever the reason is: report it below and connect again.
    }
    clearInterval(timer);
    if (signal?.aborted) return;
    onState(false, status);
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

async function read(reader, onEvent, watch) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    watch.heardAt = performance.now();
    text += decoder.decode(value, { stream: true });
    const frames = text.split("\n\n");
    text = frames.pop();
    for (const frame of frames) {
      const name = /^event: (.*)$/m.exec(frame);
      const data = /^data: (.*)$/m.exec(frame);
      if (name && data) onEvent(name[1], JSON.parse(data[1]));
    }
  }
}

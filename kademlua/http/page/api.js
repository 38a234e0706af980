// Requests to the API and the stream of events. All send the token if there is one. EventSource
// cannot send it, so fetch reads the stream.

const STORAGE_KEY = "kademlua-token";

export function token() {
  return sessionStorage.getItem(STORAGE_KEY) ?? "";
}

export function setToken(text) {
  sessionStorage.setItem(STORAGE_KEY, text.trim());
}

function headers(more = {}) {
  const current = token();
  return current ? { ...more, Authorization: `Bearer ${current}` } : more;
}

// Return the JSON of a reply. Throw an Error with the node's message and the status if it failed.
export async function request(path, options = {}) {
  const reply = await fetch(path, { ...options, headers: headers(options.headers), cache: "no-store" });
  const body = await reply.json().catch(() => ({}));
  if (!reply.ok) {
    const error = new Error(body.detail || body.title || `status ${reply.status}`);
    error.status = reply.status;
    throw error;
  }
  return body;
}

// Call onEvent(name, data) for each event, and onState(isConnected) when the stream starts or ends.
export async function listen(path, onEvent, onState) {
  for (;;) {
    try {
      const reply = await fetch(path, { headers: headers(), cache: "no-store" });
      if (!reply.ok) throw new Error(`status ${reply.status}`);
      onState(true);
      await read(reply.body.getReader(), onEvent);
    } catch {
      // Whatever the reason is: report it below and connect again.
    }
    onState(false);
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

async function read(reader, onEvent) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
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

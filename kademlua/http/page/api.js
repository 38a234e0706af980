// What the node says: single answers, and the stream of events. The token, where one is given,
// goes along; EventSource could not send it, so the stream is read by fetch.

const STORE = "kademlua-token";

export function token() {
  return sessionStorage.getItem(STORE) ?? "";
}

export function setToken(text) {
  sessionStorage.setItem(STORE, text.trim());
}

function headers(more = {}) {
  const given = token();
  return given ? { ...more, Authorization: `Bearer ${given}` } : more;
}

// The JSON of an answer; an Error with the node's own words where it is none.
export async function ask(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: headers(options.headers), cache: "no-store" });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = new Error(body.detail || body.title || `status ${answer.status}`);
    error.status = answer.status;
    throw error;
  }
  return body;
}

// Calls heard(name, data) for each event, and state(true or false) as the stream comes and goes.
export async function listen(path, heard, state) {
  for (;;) {
    try {
      const answer = await fetch(path, { headers: headers(), cache: "no-store" });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      state(true);
      await read(answer.body.getReader(), heard);
    } catch {
      // Told below: whatever it was, the stream is gone, and tried again.
    }
    state(false);
    await new Promise((go) => setTimeout(go, 2000));
  }
}

async function read(reader, heard) {
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
      if (name && data) heard(name[1], JSON.parse(data[1]));
    }
  }
}

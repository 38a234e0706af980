// A value: collapsed if it is long or binary, with buttons to copy and download it.

import { button, copyButton, make } from "./dom.js";
import { bytes } from "./format.js";

const SHORT = 120; // characters that are shown without a click
const MAX_SHOWN = 20000;

/** Return the bytes of a value in its JSON form: of text and {"hex": …} the bytes, else of its JSON. */
export function bytesOf(value) {
  if (isHex(value)) return Uint8Array.from(value.hex.match(/../g) ?? [], (digits) => parseInt(digits, 16));
  return new TextEncoder().encode(textOf(value));
}

/** Return a value as text. @param {unknown} value */
export function textOf(value) {
  if (typeof value === "string") return value;
  return isHex(value) ? value.hex : JSON.stringify(value, null, 2);
}

function isHex(value) {
  return typeof value === "object" && value !== null && Object.keys(value).length === 1 && typeof value.hex === "string";
}

/** Return an element that shows a value. @param {unknown} value @param {string} name of the downloaded file */
export function viewValue(value, name) {
  const data = bytesOf(value);
  const text = textOf(value);
  const isBinary = isHex(value);
  const tools = make("span", { class: "tools" });
  tools.append(copyButton(text), button("Download", () => download(data, `${name}${isBinary ? ".bin" : ".txt"}`)));
  if (!isBinary && text.length <= SHORT && !text.includes("\n"))
    return make("span", { class: "value" }, make("span", { class: "mono" }, text || "(empty)"), tools);
  const kind = isBinary ? "binary" : `${text.slice(0, 40).replace(/\s+/g, " ")}…`;
  const whole = make("pre", {}, text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}… (download it to see the rest)` : text);
  return make("span", { class: "value" }, make("details", {}, make("summary", {}, `${kind} (${bytes(data.length)})`), whole), tools);
}

function download(data, name) {
  const url = URL.createObjectURL(new Blob([data], { type: "application/octet-stream" }));
  make("a", { href: url, download: name.replace(/[^\w.-]+/g, "_") }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

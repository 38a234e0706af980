// The form for keys and values.

import { request, send } from "./api.js";
import { $, attempt, button, confirmed, make } from "./dom.js";
import { milliseconds, parseTtl, plural } from "./format.js";
import { keyPath, learn } from "./keys.js";
import { viewValue } from "./value-view.js";
import { Watch } from "./watch.js";

/** @typedef {{contact: {id: string, address: string, port: number}, values: unknown[]}} Answer */

const MAX_ANSWERS = 20;

export class Values {
  /**
   * @param {import("./access.js").Access} access
   * @param {{showHolders: (ids: string[], key: string) => void, changed: () => void, log: (text: string) => void}} page
   */
  constructor(access, page) {
    this.access = access;
    this.page = page;
    this.found = []; // the distinct values of the last find
    this.watch = new Watch();
    const actions = {
      find: () => this.find(), lookup: () => this.lookUp(), add: () => this.store("added", "POST", "values"),
      set: () => this.store("set", "POST", "values"),
      publish: () => this.store("published", "PUT", "published"), remove: () => this.remove(),
      watch: () => this.startWatch(),
    };
    $("value-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.run(actions[event.submitter?.value ?? "find"]);
    });
    $("value").addEventListener("input", () => this.showSize());
  }

  /** Run an action and show its result below the form. @param {() => Promise<any>} action */
  async run(action) {
    await attempt($("answer"), action);
    this.page.changed();
  }

  showSize() {
    const size = new TextEncoder().encode($("value").value).length;
    $("value-size").textContent = size ? `${size.toLocaleString("en")} of ${this.maxBytes.toLocaleString("en")} bytes` : "";
  }

  /** The longest text that fits; bencoding puts its length and a colon in front. */
  get maxBytes() {
    const limit = this.access.limits.max_value_bytes;
    return limit - String(limit).length - 1;
  }

  get key() {
    const key = $("key").value;
    if (!key) throw new Error("Enter a key: any text, or 40 hex digits.");
    return key;
  }

  /** The text of the field, or the chosen file. @returns {string|File} */
  get value() {
    const text = $("value").value;
    const file = $("file").files[0];
    if (text && file) throw new Error("Enter a value or choose a file, not both.");
    const size = file ? file.size : new TextEncoder().encode(text).length;
    const limit = this.maxBytes;
    if (!size) throw new Error("Enter a value, or choose a file that is not empty.");
    if (size > limit) throw new Error(`The value has ${size.toLocaleString("en")} bytes; at most ${limit.toLocaleString("en")} fit.`);
    return file ?? text;
  }

  async find() {
    const { key } = this;
    const reply = await request(`v1/values/${keyPath(key, { answers: MAX_ANSWERS })}`);
    learn(key, reply);
    /** @type {Answer[]} */
    const { answers } = reply;
    const values = new Map(answers.flatMap((answer) => answer.values.map((value) => [JSON.stringify(value), value])));
    this.found = [...values.values()];
    const holders = answers.map((answer) => answer.contact.id);
    return [
      make("p", {}, `${plural(values.size, "value")} from ${plural(holders.length, "node")} `, this.ringButton(holders, key)),
      make("ul", { class: "plain" }, ...this.found.map((value) => make("li", {}, viewValue(value, key)))),
    ];
  }

  startWatch() {
    const { key } = this;
    this.watch.start(key);
    return `The changes of ${key} appear below.`;
  }

  async lookUp() {
    const { key } = this;
    const reply = await request(`v1/lookup/${keyPath(key)}`);
    learn(key, reply);
    const ids = reply.contacts.map((each) => each.id);
    const lines = reply.contacts.map((each) => `${each.id.slice(0, 12)}…  ${each.address}:${each.port}`);
    return [
      make("p", {}, `${plural(ids.length, "closest node")} in ${milliseconds(reply.seconds)} `, this.ringButton(ids, key)),
      make("pre", {}, lines.join("\n")),
    ];
  }

  async store(done, method, path) {
    const { key, value } = this;
    const ttl = parseTtl($("ttl").value, this.access.limits.max_ttl);
    const report = await send(method, `v1/${path}/${keyPath(key, { ttl })}`, value);
    learn(key, report);
    $("file").value = "";
    this.page.log(`${done} ${key} on ${plural(report.acknowledged.length, "node")}`);
    return this.reportLine(done, key, report);
  }

  async remove() {
    const { key } = this;
    if (!(await confirmed(`Remove this node's value of ${key} from all nodes?`, "Remove"))) return "Nothing was removed.";
    const report = await send("DELETE", `v1/values/${keyPath(key)}`);
    learn(key, report);
    this.page.log(`removed ${key} from ${plural(report.acknowledged.length, "node")}`);
    return this.reportLine("removed from", key, report);
  }

  reportLine(done, key, { acknowledged, refused, timed_out: silent }) {
    const others = [];
    if (refused.length) others.push(`${refused.length} refused (${[...new Set(refused.map((each) => each.reason))].join("; ")})`);
    if (silent.length) others.push(`${silent.length} did not reply`);
    const where = done.endsWith("from") ? done : `${done}: stored on`;
    const rest = others.length ? `; ${others.join(", ")}` : "";
    const ids = acknowledged.map((each) => each.id);
    return [`${where} ${plural(ids.length, "node")}${rest}. `, this.ringButton(ids, key)];
  }

  ringButton(ids, key) {
    return button("Show on the ring", () => this.page.showHolders(ids, key), { class: "small" });
  }
}

// The token: what it permits, and the form to enter it.

import { onRefused, request, setToken, takeTokenFromUrl, token } from "./api.js";
import { $, setText, showMessage } from "./dom.js";

/** @typedef {{max_value_bytes: number, default_ttl: number, max_ttl: number, replicas: number}} Limits */

export class Access {
  /** @param {() => void} onChange called after another token was entered */
  constructor(onChange) {
    /** @type {Limits} */
    this.limits = { max_value_bytes: 15000, default_ttl: 86400, max_ttl: 2592000, replicas: 20 };
    this.node = null; // the contact of the node that serves the page
    $("token").value = token();
    $("access-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      setToken($("token").value);
      await this.use(onChange);
    });
    onRefused.add((error) => this.refused(error));
    addEventListener("hashchange", () => {
      this.close();
      if (takeTokenFromUrl()) this.use(onChange); // the printed URL was opened over this page
    });
    document.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    document.addEventListener("pointerdown", (event) => $("access").contains(event.target) || this.close());
  }

  async use(onChange) {
    $("token").value = token();
    if (await this.check()) onChange();
  }

  close() {
    $("access").open = false;
  }

  /** Ask what the token permits; return true if the node answered. */
  async check() {
    try {
      const info = await request("v1/node");
      this.limits = info.limits;
      this.node = info.node;
      setText($("version"), `${info.version}, ${info.build}`);
      this.describe(info);
      return true;
    } catch (error) {
      if (error.status !== 401) showMessage($("access-message"), "bad", error.message);
      return false;
    }
  }

  describe({ access, token_source: source }) {
    const texts = {
      full: ["good", "full access", "This token permits changes."],
      none: ["busy", "read only", `To change anything, enter the token, or open the URL that the command printed. The token is in ${source}.`],
      wrong: ["bad", "wrong token", `The token is wrong: a node may have another one after a restart. It is in ${source}.`],
    };
    const [kind, summary, text] = texts[access];
    setText($("access-state"), summary);
    showMessage($("access-message"), kind, text);
    $("access").classList.toggle("bad", kind === "bad");
    if (access === "wrong") $("access").open = true;
    if (access === "full") this.close();
  }

  /** @param {Error} error */
  refused(error) {
    setText($("access-state"), token() ? "wrong token" : "no token");
    showMessage($("access-message"), "bad", error.message);
    $("access").classList.add("bad");
    $("access").open = true;
  }
}

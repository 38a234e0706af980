// The views of the page, chosen by the fragment: #overview, #values, #nodes, #metrics, #log.

import { $ } from "./dom.js";

const VIEWS = ["overview", "values", "nodes", "metrics", "log"];
const listeners = new Set();

export const currentView = () => (VIEWS.includes(location.hash.slice(1)) ? location.hash.slice(1) : VIEWS[0]);

/** Call a function with the name of each view that opens. @param {(view: string) => void} listener */
export function onView(listener) {
  listeners.add(listener);
  listener(currentView());
}

/** @param {string} view */
export function openView(view) {
  location.hash = view;
}

function show() {
  const view = currentView();
  for (const each of VIEWS) $(`view-${each}`).hidden = each !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  for (const listener of listeners) listener(view);
}

addEventListener("hashchange", show);
show();

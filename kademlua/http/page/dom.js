// Small helpers for the document.

/** Return the element with an id. @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/**
 * Create an element. Names that begin with "on" are listeners, others are attributes; text is never markup.
 * @param {string} tag
 * @param {Record<string, any>} [attributes] undefined, null and false are left out
 * @param {...(Node|string)} children
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== undefined && value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Return a button of text. @param {string} text @param {() => void} onclick @param {Record<string, any>} [more] */
export function button(text, onclick, more = {}) {
  return make("button", { type: "button", onclick, ...more }, text);
}

/** Return a button that copies a text to the clipboard. @param {string} text */
export function copyButton(text) {
  const copy = button("Copy", async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Not permitted";
    }
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  }, { class: "small" });
  return copy;
}

/** Set the text of an element if it differs, so that nothing flickers or is read out twice. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Show the result of an action. All results and errors of the page look like this.
 * @param {HTMLElement} place
 * @param {"busy"|"good"|"bad"} kind
 * @param {...(Node|string)} content
 */
export function showMessage(place, kind, ...content) {
  place.className = `message ${kind}`;
  place.setAttribute("role", kind === "bad" ? "alert" : "status");
  place.replaceChildren(...content);
}

let asked = 0; // questions so far

/**
 * Ask before an action that cannot be undone, and return whether the user agrees. Escape does not.
 * @param {string} question
 * @param {string} yes the text of the button that agrees
 * @returns {Promise<boolean>}
 */
export function confirmed(question, yes) {
  const dialog = $("confirm");
  setText($("confirm-text"), question);
  setText($("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  const number = ++asked;
  return new Promise((resolve) => {
    const onClose = () => {
      if (number === asked && dialog.open) return; // the event of an earlier question
      dialog.removeEventListener("close", onClose);
      resolve(number === asked && dialog.returnValue === "yes");
    };
    dialog.addEventListener("close", onClose);
  });
}

/** Run an action, and show that it runs, its result, or its error. */
export async function attempt(place, action) {
  showMessage(place, "busy", "…");
  try {
    showMessage(place, "good", ...[await action()].flat());
    return true;
  } catch (error) {
    showMessage(place, "bad", error.message);
    return false;
  }
}

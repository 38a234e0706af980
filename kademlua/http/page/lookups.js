// Shows lookups from their events: on the ring, in the list, and in the chart of times.

const MAX_LISTED = 30;

export class Lookups {
  constructor(list, page) {
    this.list = list;
    this.page = page;
    this.known = new Map();
    this.unlisted = new Set(); // purposes of lookups that are shown only on the ring
  }

  // Show an event of a lookup; origin is the id of the node that runs it.
  onEvent(name, data, origin) {
    const { ring } = this.page;
    const number = data.lookup;
    if (name === "lookup-began") {
      ring.begin(number, origin, data.target);
      this.known.set(number, { ...data, queried: 0 });
    } else if (name === "lookup-queried") {
      ring.step(number, data.contact.id, "queried");
      const lookup = this.known.get(number);
      if (lookup) lookup.queried += 1;
    } else if (name === "lookup-answered") {
      ring.step(number, data.contact.id, "answered", data.reported);
    } else if (name === "lookup-failed") {
      ring.step(number, data.contact.id, "failed");
    } else if (name === "lookup-ended") {
      ring.end(number);
      this.ended(number, data.seconds);
    }
  }

  ended(number, seconds) {
    const lookup = this.known.get(number);
    if (!lookup) return;
    this.known.delete(number);
    if (this.unlisted.has(lookup.cause)) return;
    const ms = seconds * 1000;
    this.page.times.add(ms);
    document.getElementById("times-now").textContent = ms.toFixed(ms < 10 ? 1 : 0);
    this.list.prepend(this.line(number, lookup, ms));
    while (this.list.children.length > MAX_LISTED) this.list.lastChild.remove();
  }

  line(number, lookup, ms) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const what = document.createElement("span");
    what.textContent = `${lookup.target.slice(0, 8)}… ${lookup.cause || lookup.rpc}`;
    const figures = document.createElement("span");
    figures.textContent = `${lookup.queried} queried, ${ms.toFixed(1)} ms`;
    button.append(what, figures);
    const choose = () => this.page.ring.choose(number);
    const leave = () => this.page.ring.choose(null);
    button.addEventListener("focus", choose);
    button.addEventListener("mouseenter", choose);
    button.addEventListener("blur", leave);
    button.addEventListener("mouseleave", leave);
    item.append(button);
    return item;
  }
}

// Charts of numbers over time, with axes, a legend and the figures under the pointer.

import { make, setText } from "./dom.js";

const COLOURS = ["fresh", "self", "answered", "target", "failed", "quiet", "queried"];
const MAX_SERIES = COLOURS.length;
const LEFT = 44; // pixels for the labels of the y axis
const BOTTOM = 18;
const MIN_SECONDS = 60; // the time axis grows in steps of this

/** @typedef {{time: number, values: Record<string, number>}} Point time: in ms */

export class Chart {
  /**
   * @param {HTMLElement} place
   * @param {{title: string, unit: string, empty: string, seconds: number}} options seconds: the longest time that is kept
   */
  constructor(place, options) {
    this.options = options;
    /** @type {Point[]} */
    this.points = [];
    this.names = []; // of the series; their order fixes their colours
    this.pointer = null;
    this.shownSeconds = 300;
    this.canvas = make("canvas", { role: "img", "aria-label": `${options.title}, ${options.unit}` });
    this.legend = make("ul", { class: "legend" });
    this.empty = make("p", { class: "empty" }, options.empty);
    place.replaceChildren(make("figcaption", {}, make("b", {}, options.title), ` ${options.unit}`), this.canvas, this.legend, this.empty);
    new ResizeObserver(() => this.paint()).observe(this.canvas);
    document.addEventListener("theme", () => this.paint());
    this.canvas.addEventListener("pointermove", (event) => this.point(event.offsetX));
    this.canvas.addEventListener("pointerleave", () => this.point(null));
  }

  /** @param {Record<string, number>} values by series; further series than there are colours are added up */
  add(values) {
    const now = Date.now();
    const merged = {};
    for (const [name, value] of Object.entries(values)) {
      if (!this.names.includes(name) && this.names.length < MAX_SERIES - 1) this.names.push(name);
      const shown = this.names.includes(name) ? name : "other";
      if (!this.names.includes(shown)) this.names.push(shown);
      merged[shown] = (merged[shown] ?? 0) + value;
    }
    this.points.push({ time: now, values: merged });
    while (this.points[0].time < now - this.options.seconds * 1000) this.points.shift();
    this.paint();
  }

  /** @param {number} seconds the longest time to show */
  show(seconds) {
    this.shownSeconds = seconds;
    this.paint();
  }

  point(x) {
    this.pointer = x;
    this.paint();
  }

  paint() {
    const { canvas, names } = this;
    const end = this.points.at(-1)?.time ?? Date.now();
    const points = this.points.filter(({ time }) => end - time <= this.shownSeconds * 1000);
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    this.empty.hidden = names.length > 0;
    if (!width) return;
    const ratio = devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    const maximum = niceMaximum(Math.max(0, ...points.flatMap((point) => Object.values(point.values))));
    const since = (end - (points[0]?.time ?? end)) / 1000;
    const seconds = Math.min(this.shownSeconds, MIN_SECONDS * Math.max(1, Math.ceil(since / MIN_SECONDS)));
    const span = seconds * 1000;
    const toX = (time) => LEFT + (1 - (end - time) / span) * (width - LEFT);
    const toY = (value) => 6 + (1 - value / maximum) * (height - BOTTOM - 6);
    paintAxes(pen, { width, height, maximum, seconds, toY, colour });
    names.forEach((name, at) => {
      pen.strokeStyle = colour(COLOURS[at]);
      pen.lineWidth = 1.5;
      pen.beginPath();
      for (const { time, values } of points) pen.lineTo(toX(time), toY(values[name] ?? 0));
      pen.stroke();
    });
    const shown = this.pointer === null ? points.at(-1) : nearest(points, this.pointer, toX);
    if (shown && this.pointer !== null) {
      pen.strokeStyle = colour("quiet");
      pen.lineWidth = 1;
      pen.strokeRect(Math.round(toX(shown.time)) + 0.5, 0, 0, height - BOTTOM);
    }
    this.paintLegend(shown, end);
  }

  paintLegend(shown, end) {
    const ago = shown ? Math.round((end - shown.time) / 1000) : 0;
    while (this.legend.children.length < this.names.length) {
      const mark = make("i", { class: `mark ${COLOURS[this.legend.children.length]}` });
      this.legend.append(make("li", {}, mark, make("span")));
    }
    this.names.forEach((name, at) => {
      const value = shown?.values[name] ?? 0;
      setText(this.legend.children[at].lastChild, `${name} ${label(value)}${ago ? ` (${ago} s ago)` : ""}`);
    });
  }
}

function paintAxes(pen, { width, height, maximum, seconds, toY, colour }) {
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = colour("quiet");
  pen.strokeStyle = colour("line");
  pen.lineWidth = 1;
  pen.textAlign = "right";
  for (const share of [0, 0.5, 1]) {
    const y = toY(maximum * share);
    pen.strokeRect(LEFT, Math.round(y) + 0.5, width - LEFT, 0);
    pen.fillText(label(maximum * share), LEFT - 6, y + 4);
  }
  pen.textAlign = "left";
  pen.fillText(`−${seconds} s`, LEFT, height - 4);
  pen.textAlign = "center";
  pen.fillText(`−${seconds / 2} s`, LEFT + (width - LEFT) / 2, height - 4);
  pen.textAlign = "right";
  pen.fillText("now", width, height - 4);
}

function nearest(points, x, toX) {
  const distance = (point) => Math.abs(toX(point.time) - x);
  return points.reduce((best, point) => (best && distance(best) <= distance(point) ? best : point), undefined);
}

function niceMaximum(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= value) ?? value;
}

function label(value) {
  if (value >= 10000) return `${Math.round(value / 1000).toLocaleString("en")} k`;
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
}

// A table that is sorted by a click on a heading, filtered, and shows a part of its rows.

import { button, make } from "./dom.js";

const MAX_ROWS = 200; // by default

/**
 * @template Row
 * @typedef {{title: string, key: (row: Row) => string|number|undefined, cell?: (row: Row) => Node|string, isNumber?: boolean}} Column
 */

/** @template Row */
export class Table {
  /**
   * @param {HTMLElement} place
   * @param {Column<Row>[]} columns
   * @param {{empty: () => string|Array<Node|string>, identity: (row: Row) => string, onChoose?: (row: Row) => void, caption: string, maxRows?: number}} options
   */
  constructor(place, columns, options) {
    this.columns = columns;
    this.options = options;
    this.maxRows = options.maxRows ?? MAX_ROWS;
    this.rows = [];
    /** @type {Map<string, {line: HTMLTableRowElement, keys: any[]}>} */
    this.lines = new Map();
    this.sortBy = 0;
    this.direction = 1;
    this.heads = columns.map((column, at) =>
      make("th", { scope: "col", class: column.isNumber && "number" }, button(column.title, () => this.sort(at))),
    );
    this.body = make("tbody");
    this.note = make("p", { class: "empty" });
    this.table = make("table", { "aria-label": options.caption }, make("thead", {}, make("tr", {}, ...this.heads)), this.body);
    place.replaceChildren(make("div", { class: "scroll" }, this.table), this.note);
    this.paint();
  }

  sort(at) {
    if (at === this.sortBy) this.direction = -this.direction;
    else [this.sortBy, this.direction] = [at, this.columns[at].isNumber ? -1 : 1];
    this.paint();
  }

  /** @param {Row[]} rows */
  show(rows) {
    this.rows = rows;
    this.paint();
  }

  paint() {
    const { key } = this.columns[this.sortBy];
    const sorted = [...this.rows].sort((one, other) => this.direction * compare(key(one), key(other)));
    this.heads.forEach((head, at) => {
      const order = this.direction > 0 ? "ascending" : "descending";
      head.setAttribute("aria-sort", at === this.sortBy ? order : "none");
    });
    const lines = sorted.slice(0, this.maxRows).map((row) => this.line(row));
    const isMoved = lines.length !== this.body.rows.length || lines.some((line, at) => line !== this.body.rows[at]);
    if (isMoved) this.body.replaceChildren(...lines);
    const hidden = sorted.length - this.maxRows;
    this.table.hidden = !sorted.length;
    this.note.hidden = sorted.length > 0 && hidden <= 0;
    const note = sorted.length ? `${hidden} more: search or sort to see them.` : this.options.empty();
    const text = [note].flat().map((part) => part.textContent ?? part).join("");
    if (this.note.textContent !== text) this.note.replaceChildren(...[note].flat());
  }

  /** Return the line of a row; cells whose content is the same keep their elements, open or focused. */
  line(row) {
    const identity = this.options.identity(row);
    const known = this.lines.get(identity) ?? { line: make("tr"), keys: [] };
    if (this.lines.size > 5 * this.maxRows) this.lines.clear();
    this.lines.set(identity, known);
    this.columns.forEach((column, at) => {
      const key = column.key(row);
      if (known.keys.length > at && known.keys[at] === key) return;
      known.keys[at] = key;
      const content = column.cell ? column.cell(row) : text(key);
      const { onChoose } = this.options;
      const shown = at === 0 && onChoose ? button(content, () => onChoose(row), { class: "link" }) : content;
      const cell = make("td", { class: column.isNumber && "number" }, shown);
      if (known.line.cells[at]) known.line.cells[at].replaceWith(cell);
      else known.line.append(cell);
    });
    return known.line;
  }
}

function text(value) {
  if (value === undefined || value === null) return "–";
  return typeof value === "number" ? value.toLocaleString("en") : value;
}

function compare(one, other) {
  if (one === undefined || one === null) return 1;
  if (other === undefined || other === null) return -1;
  return typeof one === "number" ? one - other : String(one).localeCompare(String(other));
}

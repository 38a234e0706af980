// Small line charts of numbers over time.

export class Chart {
  // colours: names in the style sheet, one for each line; capacity: the number of points shown.
  constructor(canvas, colours, capacity) {
    this.canvas = canvas;
    this.colours = colours;
    this.capacity = capacity;
    this.rows = [];
    new ResizeObserver(() => this.paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  add(...numbers) {
    this.rows.push(numbers);
    if (this.rows.length > this.capacity) this.rows.shift();
    this.paint();
  }

  paint() {
    const { canvas, rows, capacity } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const maximum = Math.max(1e-9, ...rows.flat()) * 1.1;
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.strokeRect(0.5, 0.5, width - 1, height - 1);
    this.colours.forEach((colour, line) => {
      pen.strokeStyle = style.getPropertyValue(`--${colour}`);
      pen.lineWidth = 1.5;
      pen.beginPath();
      rows.forEach((row, index) => {
        const x = width - ((rows.length - 1 - index) / (capacity - 1)) * width;
        const y = height - 2 - (row[line] / maximum) * (height - 4);
        if (index) pen.lineTo(x, y);
        else pen.moveTo(x, y);
      });
      pen.stroke();
    });
  }
}

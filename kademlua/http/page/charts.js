// Lines of numbers over time, small.

export class Chart {
  // names: the lines' colours, as the style sheet has them.
  constructor(canvas, names, room) {
    this.canvas = canvas;
    this.names = names;
    this.room = room;
    this.rows = [];
    new ResizeObserver(() => this.paint()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.paint());
  }

  add(...numbers) {
    this.rows.push(numbers);
    if (this.rows.length > this.room) this.rows.shift();
    this.paint();
  }

  paint() {
    const { canvas, rows, room } = this;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const most = Math.max(1e-9, ...rows.flat()) * 1.1;
    pen.strokeStyle = style.getPropertyValue("--line");
    pen.strokeRect(0.5, 0.5, width - 1, height - 1);
    this.names.forEach((name, line) => {
      pen.strokeStyle = style.getPropertyValue(`--${name}`);
      pen.lineWidth = 1.5;
      pen.beginPath();
      rows.forEach((row, index) => {
        const x = width - ((rows.length - 1 - index) / (room - 1)) * width;
        const y = height - 2 - (row[line] / most) * (height - 4);
        if (index) pen.lineTo(x, y);
        else pen.moveTo(x, y);
      });
      pen.stroke();
    });
  }
}

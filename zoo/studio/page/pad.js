// The page that is drawn on: with a mouse, a finger, a pen or the arrow keys.
import { drawLine, drawLines, wipe } from "./ink.js";

const NEAR = 0.003; // of the page: points nearer than that to the last one are left out
const STEP = 0.02, SMALL_STEP = 0.004; // of the arrow keys

export class Pad {
  // `began` is called when the pen touches the page, `changed` when a line is done or the lines have changed.
  constructor(canvas, { began, changed }) {
    Object.assign(this, { canvas, began, changed, ctx: canvas.getContext("2d") });
    Object.assign(this, { lines: [], past: [], future: [], line: null, pointer: null, width: 0.01, penSeen: false, cursor: null, faint: false, added: [], share: 1 });
    canvas.addEventListener("pointerdown", (e) => this.down(e));
    canvas.addEventListener("pointermove", (e) => this.move(e));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (e) => this.up(e));
    canvas.addEventListener("keydown", (e) => this.key(e));
    canvas.addEventListener("blur", () => { this.lift(); });
    this.paint();
  }

  // --- pointers ---

  down(e) {
    if (e.pointerType === "pen") this.penSeen = true;
    if (this.pointer !== null || e.button !== 0 || (e.pointerType === "touch" && this.penSeen)) return; // a palm
    this.pointer = e.pointerId;
    try { this.canvas.setPointerCapture(e.pointerId); } catch { /* it has gone already */ }
    this.begin(...this.place(e));
  }

  move(e) {
    if (e.pointerId !== this.pointer) return;
    const events = e.getCoalescedEvents?.() ?? [];
    for (const one of events.length ? events : [e]) this.add(...this.place(one));
  }

  up(e) {
    if (e.pointerId !== this.pointer) return;
    this.pointer = null;
    if (e.type === "pointerup") this.add(...this.place(e));
    this.endLine();
  }

  // Where an event is on the page, and how wide the pen is there.
  place(e) {
    const box = this.canvas.getBoundingClientRect();
    const side = Math.min(box.width, box.height), inside = (v) => Math.min(1, Math.max(0, v));
    const width = this.width * (e.pointerType === "pen" && e.pressure > 0 ? 0.4 + 1.2 * e.pressure : 1);
    return [inside((e.clientX - box.left - (box.width - side) / 2) / side), inside((e.clientY - box.top - (box.height - side) / 2) / side), width];
  }

  // --- lines ---

  begin(x, y, width) {
    this.began();
    this.line = [x, y, width];
    this.paint();
  }

  add(x, y, width) {
    const line = this.line;
    if (!line || Math.hypot(x - line.at(-3), y - line.at(-2)) < NEAR) return;
    line.push(x, y, width);
    drawLine(this.ctx, [...line.slice(-6)]);
  }

  endLine() {
    const line = this.line?.map((v) => Math.round(v * 1e4) / 1e4);
    this.line = null;
    if (line) this.set([...this.lines, line]);
  }

  // New lines, which can be undone.
  set(lines) {
    this.past.push(this.lines);
    this.future = [];
    this.lines = lines;
    this.paint();
    this.changed();
  }

  undo(from = this.past, to = this.future) {
    if (!from.length || this.line) return false;
    to.push(this.lines);
    this.lines = from.pop();
    this.paint();
    this.changed();
    return true;
  }

  redo() { return this.undo(this.future, this.past); }

  // --- the arrow keys ---

  key(e) {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (!way && e.key !== " ") return;
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    e.stopPropagation();
    this.cursor ??= { x: 0.5, y: 0.5, down: false };
    const c = this.cursor;
    if (way) {
      const step = e.shiftKey ? SMALL_STEP : STEP;
      c.x = Math.min(1, Math.max(0, c.x + way[0] * step));
      c.y = Math.min(1, Math.max(0, c.y + way[1] * step));
      if (c.down) this.add(c.x, c.y, this.width);
    } else if (c.down) {
      c.down = false;
      this.endLine();
    } else {
      c.down = true;
      this.begin(c.x, c.y, this.width);
    }
    this.paint();
  }

  // The pad is left: no cursor on it any more.
  lift() {
    if (!this.cursor) return;
    if (this.cursor.down) this.endLine();
    this.cursor = null;
    this.paint();
  }

  // --- the picture ---

  // Shows over the page what a model would add: `share` of its points.
  show(added, share = 1) {
    Object.assign(this, { added, share });
    this.paint();
  }

  paint() {
    const { added, share } = this;
    wipe(this.canvas);
    drawLines(this.ctx, this.lines, this.faint ? "#c9c9cf" : "#111");
    if (this.line) drawLine(this.ctx, this.line);
    let left = (share * added.reduce((sum, line) => sum + line.length, 0)) / 3;
    for (const line of added) {
      if (left <= 0) break;
      drawLine(this.ctx, line, this.faint ? "#111" : "#1f57c3", left);
      left -= line.length / 3;
    }
    if (this.cursor) {
      const { x, y, down } = this.cursor, s = this.canvas.width;
      this.ctx.strokeStyle = down ? "#111" : "#1f57c3";
      this.ctx.lineWidth = 3;
      this.ctx.beginPath();
      this.ctx.arc(x * s, y * s, 14, 0, 2 * Math.PI);
      this.ctx.stroke();
    }
  }
}

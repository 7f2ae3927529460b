// Painting on a canvas: lines of a sketch, and the outlines of any renderer's strokes.

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

// A sketch's line is x, y and width of each point in turn, fractions of a square page.
export function drawLine(ctx, line, colour = "#111", upTo = line.length / 3, least = 0) {
  const side = ctx.canvas.width;
  ctx.strokeStyle = ctx.fillStyle = colour;
  ctx.lineCap = ctx.lineJoin = "round";
  const width = (i) => Math.max(least, line[i + 2] * side);
  const n = Math.min(line.length, 3 * Math.ceil(upTo));
  if (n <= 3) {
    ctx.beginPath();
    ctx.arc(line[0] * side, line[1] * side, width(0) / 2, 0, 2 * Math.PI);
    return ctx.fill();
  }
  let at = 3;
  while (at < n) { // a run of one width is one path: its joints are round
    ctx.beginPath();
    ctx.moveTo(line[at - 3] * side, line[at - 2] * side);
    ctx.lineWidth = width(at);
    do { ctx.lineTo(line[at] * side, line[at + 1] * side); at += 3; } while (at < n && width(at) === ctx.lineWidth);
    ctx.stroke();
  }
}

export function drawLines(ctx, lines, colour, least) {
  for (const line of lines) drawLine(ctx, line, colour, line.length / 3, least);
}

export function wipe(canvas, colour = "#fff") {
  const ctx = canvas.getContext("2d");
  ctx.globalAlpha = 1;
  ctx.fillStyle = colour;
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  return ctx;
}

export const css = (rgb) => `rgb(${rgb.map((v) => Math.round(255 * v)).join(" ")})`;

// An outline is a row of numbers: kind, colour, opacities, widths (two each), points x, y in turn.
const CURVE = 0, POLYLINE = 1, POLYGON = 2, CIRCLE = 3, HEAD = 8;
const LEVELS = 48; // of opacity along a stroke

export function paintOutline(ctx, row, scratch) {
  const { width: w, height: h } = ctx.canvas, unit = Math.sqrt(w * h);
  const colour = css(row.slice(1, 4)), [a0, a1, w0, w1] = row.slice(4, HEAD);
  const x = (i) => row[HEAD + 2 * i] * w, y = (i) => row[HEAD + 2 * i + 1] * h;
  const count = (row.length - HEAD) / 2;
  ctx.fillStyle = ctx.strokeStyle = colour;
  ctx.globalAlpha = (a0 + a1) / 2;
  ctx.lineCap = ctx.lineJoin = "round";
  ctx.beginPath();
  if (row[0] === CIRCLE) {
    ctx.arc(x(0), y(0), (w0 / 2) * unit, 0, 2 * Math.PI);
    ctx.fill();
  } else if (row[0] === POLYGON) {
    for (let i = 0; i < count; i++) ctx.lineTo(x(i), y(i));
    ctx.fill();
  } else if (row[0] === CURVE && (Math.abs(w0 - w1) > 0.001 || Math.abs(a0 - a1) > 0.01)) {
    taper(ctx, row, scratch, unit);
  } else {
    ctx.lineWidth = Math.max(0.5, ((w0 + w1) / 2) * unit);
    ctx.moveTo(x(0), y(0));
    if (row[0] === CURVE) ctx.quadraticCurveTo(x(1), y(1), x(2), y(2));
    else for (let i = 1; i < count; i++) ctx.lineTo(x(i), y(i));
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
}

// A brush of changing width and opacity: circles along the curve, a later one over an earlier one, then all at once.
function taper(ctx, row, scratch, unit) {
  const { width: w, height: h } = ctx.canvas;
  const [a0, a1, w0, w1] = row.slice(4, HEAD), p = row.slice(HEAD);
  const radius = (t) => Math.max(0.5, ((w0 + (w1 - w0) * t) / 2) * unit);
  const point = (t) => [0, 1].map((k) => ((1 - t) ** 2 * p[k] + 2 * t * (1 - t) * p[2 + k] + t * t * p[4 + k]) * (k ? h : w));
  const length = Math.hypot((p[2] - p[0]) * w, (p[3] - p[1]) * h) + Math.hypot((p[4] - p[2]) * w, (p[5] - p[3]) * h);
  const n = Math.min(100, Math.max(6, Math.ceil((2.5 * length) / Math.max(1, Math.min(radius(0), radius(1))))));
  const circles = Array.from({ length: n }, (_, i) => { const t = i / (n - 1); return [...point(t), radius(t), t]; });
  const levels = Math.max(1, Math.min(n, Math.ceil(Math.abs(a1 - a0) * LEVELS)));
  const brush = levels === 1 ? ctx : scratch.getContext("2d");
  const reach = Math.max(radius(0), radius(1)) + 1;
  const left = Math.max(0, Math.floor(Math.min(...circles.map((c) => c[0])) - reach));
  const top = Math.max(0, Math.floor(Math.min(...circles.map((c) => c[1])) - reach));
  const wide = Math.ceil(Math.max(...circles.map((c) => c[0])) + reach) - left;
  const high = Math.ceil(Math.max(...circles.map((c) => c[1])) + reach) - top;
  if (wide <= 0 || high <= 0) return;
  if (levels > 1) brush.clearRect(left, top, wide, high);
  for (let level = 0; level < levels; level++) {
    const part = circles.slice(Math.floor((level * n) / levels), Math.floor(((level + 1) * n) / levels));
    const path = new Path2D();
    for (const [x, y, r] of part) { path.moveTo(x + r, y); path.arc(x, y, r, 0, 2 * Math.PI); }
    brush.fillStyle = ctx.fillStyle;
    if (levels > 1) {
      brush.globalCompositeOperation = "destination-out";
      brush.globalAlpha = 1;
      brush.fill(path);
      brush.globalCompositeOperation = "source-over";
    }
    const t = part[Math.floor(part.length / 2)][3];
    brush.globalAlpha = a0 + (a1 - a0) * t;
    brush.fill(path);
  }
  if (levels > 1) {
    ctx.globalAlpha = 1;
    ctx.drawImage(scratch, left, top, wide, high, left, top, wide, high);
  }
}

// A painting that can be shown after any number of strokes, and played.
const EVERY = 200; // strokes between two pictures that are kept to go back to
const BUDGET = 12; // milliseconds of painting in a frame

export class Player {
  constructor(canvas, moved) {
    Object.assign(this, { canvas, moved, speed: 1, timer: 0, scratch: document.createElement("canvas") });
    this.reset([1, 1, 1], 1);
  }

  reset(paper, aspect, longer = 768) {
    this.pause();
    for (const c of [this.canvas, this.scratch]) {
      c.width = Math.round(aspect >= 1 ? longer : longer * aspect);
      c.height = Math.round(aspect >= 1 ? longer / aspect : longer);
    }
    Object.assign(this, { paper, aspect, rows: [], at: 0, kept: [] });
    this.blank();
    this.moved(this);
  }

  blank() { wipe(this.canvas, css(this.paper)); }

  // News of a drawing: the first `keep` strokes stay, `outlines` follow.
  take({ keep = 0, outlines, paper, aspect }) {
    if (this.aspect !== aspect || String(this.paper) !== String(paper)) this.reset(paper, aspect);
    if (keep < this.rows.length) {
      this.rows.length = keep;
      this.kept.length = Math.min(this.kept.length, Math.floor(keep / EVERY));
      if (this.at > keep) this.show(keep);
    }
    for (const row of outlines) this.rows.push(row);
    this.moved(this);
  }

  // Paints towards `n` strokes until the time is used up; returns whether it got there.
  towards(n, until = Infinity) {
    n = Math.max(0, Math.min(n, this.rows.length));
    const ctx = this.canvas.getContext("2d");
    if (n < this.at) {
      const base = Math.min(this.kept.length, Math.floor(n / EVERY));
      this.blank();
      if (base) ctx.drawImage(this.kept[base - 1], 0, 0);
      this.at = base * EVERY;
    }
    while (this.at < n && performance.now() < until) {
      paintOutline(ctx, this.rows[this.at++], this.scratch);
      if (this.at % EVERY === 0 && this.kept.length < this.at / EVERY) this.kept.push(this.copy());
    }
    this.moved(this);
    return this.at === n;
  }

  copy() {
    const c = document.createElement("canvas");
    c.width = this.canvas.width;
    c.height = this.canvas.height;
    c.getContext("2d").drawImage(this.canvas, 0, 0);
    return c;
  }

  show(n) { this.pause(); this.towards(n); }

  get playing() { return this.timer !== 0; }

  // Plays on to the last stroke there is. While strokes are `coming()`, they are shown as they come.
  play(coming = () => false) {
    if (this.playing) return;
    if (this.at >= this.rows.length && !coming()) this.towards(0);
    let live = coming();
    let last = performance.now(), owed = 0;
    const frame = (now) => {
      const pace = live || still() ? Infinity : (this.speed * Math.max(40, this.rows.length / 6)) / 1000; // strokes a millisecond
      owed = Math.min(this.rows.length, owed + (now - last) * pace);
      last = now;
      const goal = this.at + Math.floor(owed), begun = this.at;
      this.towards(goal, performance.now() + BUDGET);
      owed = Math.max(0, owed - (this.at - begun));
      this.timer = this.at < this.rows.length || coming() ? requestAnimationFrame(frame) : 0;
      this.moved(this);
    };
    this.timer = requestAnimationFrame(frame);
  }

  pause() {
    cancelAnimationFrame(this.timer);
    this.timer = 0;
    if (this.rows) this.moved(this);
  }
}

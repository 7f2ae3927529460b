// The tab "Draw": a model goes on from the sketch, in several ways; or redraws characters.
import { ask, Stopped } from "./api.js";
import { drawLines, still, wipe } from "./ink.js";
import { Pad } from "./pad.js";
import { $, chooser, say, seedOf } from "./page.js";

const THUMB = 160; // pixels
const SECONDS = 0.5; // until a way is drawn over the page

export class Draw {
  constructor(zoo, { save, take }) {
    Object.assign(this, { zoo, save, ways: [], chosen: -1, frame: 0, running: null });
    this.pad = new Pad($("pad"), { began: () => this.interrupt(), changed: () => this.changed() });
    this.models = chooser($("draw-model"), $("draw-about"), {
      "goes on from sketches": zoo.models.filter((m) => m.kind === "sketches"),
      "redraws characters": zoo.models.filter((m) => m.kind === "characters"),
    }, () => this.modelChanged());
    $("undo").onclick = () => this.undo();
    $("redo").onclick = () => this.redo();
    $("clear").onclick = () => this.pad.set([]);
    $("another").onclick = () => this.another();
    $("keep").onclick = () => this.keep();
    $("pen").oninput = () => { this.pad.width = Number($("pen").value); this.save(); };
    $("temperature").oninput = () => { $("temperature-shown").value = $("temperature").value; };
    for (const id of ["temperature", "ways", "seed", "label"]) $(id).onchange = () => { this.save(); this.go(); };
    $("draw-take").onclick = () => take(this.baggage());
    this.modelChanged(false);
  }

  // --- what is kept in the browser ---

  get state() {
    return { lines: this.pad.lines, model: this.models.name, pen: $("pen").value, temperature: $("temperature").value, ways: $("ways").value, seed: $("seed").value };
  }

  set state({ lines, model, pen, temperature, ways, seed }) {
    if (pen) this.pad.width = Number($("pen").value = pen);
    if (temperature) $("temperature-shown").value = $("temperature").value = temperature;
    if (ways) $("ways").value = ways;
    if (seed) $("seed").value = seed;
    this.models.name = model;
    this.modelChanged(false);
    if (lines?.length) {
      this.pad.lines = lines;
      this.pad.paint();
      this.go();
    }
  }

  // --- the model ---

  get redraws() { return this.models.model.kind === "characters"; }

  modelChanged(ask = true) {
    const { labels } = this.models.model;
    this.pad.faint = false;
    $("label-row").hidden = !labels.length;
    $("labels").replaceChildren(...labels.map((name) => new Option(name)));
    for (const one of document.querySelectorAll(".for-sketches")) one.hidden = this.redraws;
    $("another").disabled = this.redraws;
    this.forget();
    this.save();
    if (ask) this.go();
  }

  changed() {
    this.forget();
    this.save();
    this.go();
  }

  // The pen touches the page: whatever was being made is no longer wanted.
  interrupt() {
    this.running?.abort();
    this.forget();
  }

  forget() {
    cancelAnimationFrame(this.frame);
    this.ways = [];
    this.chosen = -1;
    this.pad.faint = false;
    $("thumbs").replaceChildren();
    $("keep").disabled = true;
    this.pad.show([]);
  }

  request() {
    const common = { model: this.models.name, lines: this.pad.lines };
    if (this.redraws) return ["redraw", common];
    const label = $("label-row").hidden ? "" : $("label").value.trim();
    return ["go_on", { ...common, n: Number($("ways").value), temperature: Number($("temperature").value), seed: seedOf("seed"), label }];
  }

  async go() {
    this.running?.abort();
    if (this.redraws && !this.pad.lines.length) return say("Draw a digit or a character.");
    const mine = (this.running = new AbortController());
    try {
      const [task, data] = this.request();
      say("Drawing…");
      const { ways } = await ask(task, data, { signal: mine.signal, hear: this.models.loaded });
      if (mine.signal.aborted) return;
      this.ways = ways.map((lines) => this.redraws ? lines : lines.map((line) => line.map((v, i) => (i % 3 === 2 ? this.pad.width : v))));
      this.thumbs();
      const none = this.ways.filter((way) => !way.length).length;
      const spent = none ? `; in ${none} of them the model adds nothing: it takes the sketch as done` : "";
      say(this.redraws ? "Redrawn. Look at it with 1, keep it with k." : `${ways.length} ways to go on${spent}.`);
      if (this.redraws) this.look(0);
    } catch (error) {
      if (!(error instanceof Stopped)) say(error.message, true);
    } finally {
      if (this.running === mine) this.running = null;
    }
  }

  thumbs() {
    $("thumbs").replaceChildren(...this.ways.map((way, i) => {
      const button = document.createElement("button"), canvas = document.createElement("canvas"), number = document.createElement("span");
      canvas.width = canvas.height = THUMB;
      const ctx = wipe(canvas);
      drawLines(ctx, this.pad.lines, this.redraws ? "#d7d7dd" : "#8c8c96", 1.5);
      drawLines(ctx, way, this.redraws ? "#111" : "#1f57c3", 2);
      number.textContent = i + 1;
      button.append(canvas, number);
      button.setAttribute("aria-label", `Way ${i + 1}, ${way.length} lines`);
      button.setAttribute("aria-pressed", "false");
      button.onclick = () => this.look(i);
      return button;
    }));
  }

  // Shows a way over the page.
  look(i) {
    if (i >= this.ways.length) return;
    this.chosen = i;
    [...$("thumbs").children].forEach((b, k) => b.setAttribute("aria-pressed", String(k === i)));
    $("keep").disabled = !this.ways[i].length;
    this.pad.faint = this.redraws;
    cancelAnimationFrame(this.frame);
    const begun = performance.now();
    const show = (now) => {
      const share = still() ? 1 : Math.min(1, Math.max(0, now - begun) / 1000 / SECONDS);
      this.pad.show(this.ways[i], share);
      if (share < 1) this.frame = requestAnimationFrame(show);
    };
    show(begun);
  }

  keep() {
    const way = this.ways[this.chosen];
    if (!way?.length) return;
    this.pad.set(this.redraws ? way : [...this.pad.lines, ...way]);
  }

  another() {
    if (this.redraws) return;
    $("seed").value = (seedOf("seed") + 1) % 2147483648;
    this.save();
    this.go();
  }

  undo() { if (!this.pad.undo()) say("There is nothing to undo."); }
  redo() { if (!this.pad.redo()) say("There is nothing to redo."); }

  play() { if (this.chosen >= 0) this.look(this.chosen); }

  stop() {
    const busy = this.running !== null;
    this.running?.abort();
    if (busy) say("Stopped.");
    else if (this.chosen >= 0) {
      cancelAnimationFrame(this.frame);
      this.chosen = -1;
      this.pad.faint = false;
      $("keep").disabled = true;
      [...$("thumbs").children].forEach((b) => b.setAttribute("aria-pressed", "false"));
      this.pad.show([]);
    }
  }

  baggage() {
    const [task, { model, n, temperature, seed, label }] = this.request();
    const python = task === "redraw"
      ? `import zoo\n\ndrawing = zoo.load("${model}").draw("sketch.png", ink="dark")\ndrawing.save("drawing.svg")`
      : `import torch\nimport zoo\nfrom renderers import Drawing\n\npage = Drawing.load("sketch.json")\nways = zoo.load("${model}").continue_(\n    page, ${n}, temperature=${temperature}, generator=torch.Generator().manual_seed(${seed})${label ? `, label="${label}"` : ""}\n)\n(page + ways[0].to(page.renderer)).save("sketch.svg")`;
    const command = task === "redraw"
      ? `zoo draw sketch.png --model ${model} --ink dark --out drawing.svg`
      : `zoo complete sketch.json --in-place --model ${model} --n ${n} --temperature ${temperature} --seed ${seed}${label ? ` --label '${label}'` : ""} --out way{i}.svg`;
    return { name: "sketch", data: { drawing: this.pad.lines }, empty: !this.pad.lines.length, command, python };
  }
}

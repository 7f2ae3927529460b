// The tab "Morph": what lies between two sketches, or four.
import { ask, base64, Stopped } from "./api.js";
import { drawLines, still, wipe } from "./ink.js";
import { $, chooser, say, seedOf } from "./page.js";

const CORNERS = { 2: ["First", "Last"], 4: ["Upper left", "Upper right", "Lower left", "Lower right"] };
const PER_SECOND = 7; // sketches, when it plays

export class Morph {
  constructor(zoo, { save, take, page }) {
    Object.assign(this, { zoo, save, page, ends: [null, null, null, null], sketches: [], steps: 0, timer: 0, running: null });
    this.models = chooser($("morph-model"), $("morph-about"), { "": zoo.models.filter((m) => m.between) }, () => { this.save(); this.forget(); });
    $("ends-count").onchange = () => { this.count = Number($("ends-count").value); };
    $("morph-go").onclick = () => this.go();
    $("morph-take").onclick = () => take(this.baggage());
    $("morph-play").onclick = () => this.play();
    for (const id of ["across", "down"]) $(id).oninput = () => { this.pause(); this.show(); };
    $("between").addEventListener("pointerdown", (e) => this.point(e));
    $("between").addEventListener("pointermove", (e) => { if (e.buttons) this.point(e); });
    this.count = 2;
    wipe($("between"));
  }

  get state() { return { model: this.models.name, ends: this.ends, count: this.count }; }

  set state({ model, ends, count }) {
    this.models.name = model;
    if (Array.isArray(ends) && ends.length === 4) this.ends = ends;
    this.count = count === 4 ? 4 : 2;
  }

  get count() { return this.n; }

  set count(n) {
    this.n = n;
    $("ends-count").value = n;
    $("morph-steps").value = n === 4 ? 5 : 10;
    $("down-row").hidden = n !== 4;
    $("ends").replaceChildren(...CORNERS[n].map((name, i) => this.end(name, i)));
    this.forget();
    this.save();
  }

  end(name, i) {
    const box = document.createElement("div"), canvas = document.createElement("canvas"), row = document.createElement("div");
    box.className = "end";
    row.className = "row";
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", name);
    canvas.width = canvas.height = 240;
    const ctx = wipe(canvas);
    if (this.ends[i]) drawLines(ctx, this.ends[i], "#111", 2);
    else {
      ctx.fillStyle = "#55565e";
      ctx.font = "20px system-ui";
      ctx.textAlign = "center";
      ctx.fillText("the model's own", 120, 126);
    }
    const button = (text, action) => {
      const b = document.createElement("button");
      b.textContent = text;
      b.setAttribute("aria-label", `${name}: ${text}`);
      b.onclick = action;
      row.append(b);
    };
    button("My drawing", () => this.put(i, this.page()));
    button("Open…", () => $("file").pick(".json,.svg", (file) => this.open(i, file)));
    button("Its own", () => this.put(i, null));
    box.append(canvas, row);
    return box;
  }

  put(i, lines) {
    if (lines && !lines.length) return say("The page of the tab Draw is empty: draw something there first.", true);
    this.ends[i] = lines;
    this.count = this.n;
  }

  async open(i, file) {
    try {
      this.put(i, (await ask("open", { name: file.name, file: await base64(file) })).lines);
    } catch (error) {
      say(error.message, true);
    }
  }

  forget() {
    this.pause();
    this.running?.abort();
    this.sketches = [];
    for (const id of ["across", "down", "morph-play", "morph-take"]) $(id).disabled = true;
  }

  async go() {
    for (const id of ["morph-steps", "morph-seed"]) if (!$(id).reportValidity()) return;
    this.forget();
    const mine = (this.running = new AbortController()), steps = Number($("morph-steps").value);
    try {
      say("Morphing…");
      const data = { model: this.models.name, sketches: this.ends.slice(0, this.n), steps, seed: seedOf("morph-seed") };
      const { sketches } = await ask("morph", data, { signal: mine.signal, hear: this.models.loaded });
      this.sketches = sketches;
      this.steps = steps;
      for (const id of ["across", "down"]) Object.assign($(id), { max: steps - 1, value: 0, disabled: false });
      $("morph-play").disabled = $("morph-take").disabled = false;
      this.show();
      say(`${sketches.length} sketches. Move over the picture, use the slider${this.n === 4 ? "s" : ""}, or press Play.`);
    } catch (error) {
      if (!(error instanceof Stopped)) say(error.message, true);
    } finally {
      if (this.running === mine) this.running = null;
    }
  }

  // The picture is a square too, with the sketches at its corners, or a line from left to right.
  point(e) {
    if (!this.sketches.length) return;
    this.pause();
    const box = $("between").getBoundingClientRect(), place = (v) => Math.round(Math.min(1, Math.max(0, v)) * (this.steps - 1));
    $("across").value = place((e.clientX - box.left) / box.width);
    $("down").value = place((e.clientY - box.top) / box.height);
    this.show();
  }

  get at() { return (this.n === 4 ? Number($("down").value) * this.steps : 0) + Number($("across").value); }

  show() {
    if (this.sketches.length) drawLines(wipe($("between")), this.sketches[this.at], "#111", 3);
  }

  play() {
    if (this.timer) return this.pause();
    if (!this.sketches.length) return;
    let step = 1;
    $("morph-play").textContent = "Pause";
    this.timer = setInterval(() => {
      const at = Number($("across").value) + step;
      if (at < 0 || at >= this.steps) step = -step;
      $("across").value = Number($("across").value) + step;
      this.show();
    }, (still() ? 3 : 1) * 1000 / PER_SECOND);
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    $("morph-play").textContent = "Play";
  }

  stop() {
    this.pause();
    this.running?.abort();
  }

  baggage() {
    const model = this.models.name, steps = Number($("morph-steps").value), seed = seedOf("morph-seed");
    const names = this.ends.slice(0, this.n).map((_, i) => `sketch${i}.json`), own = this.ends.slice(0, this.n).every((end) => !end);
    const files = own && this.n === 2 ? "" : ` ${names.join(" ")}`;
    const sources = own && this.n === 2 ? "*model.prior(2, random)" : names.map((n) => `"${n}"`).join(", ");
    const call = this.n === 2 ? `model.interpolate(${sources}, steps=${steps}, generator=random)` : `model.corners([${sources}], steps=${steps}, generator=random)`;
    return {
      name: "morph",
      data: { sketches: this.sketches, drawing: this.sketches[this.at] },
      formats: [".gif", ".svg", ".png", ".json", ".gcode"],
      empty: !this.sketches.length,
      command: `zoo interpolate${files} --model ${model} --steps ${steps} --seed ${seed} --out morph.${this.n === 2 ? "gif" : "svg"}`,
      python: `import torch\nimport zoo\n\nmodel = zoo.load("${model}")\nrandom = torch.Generator().manual_seed(${seed})\ndrawings = ${call}\ndrawings[0].save("morph.svg")`,
    };
  }
}

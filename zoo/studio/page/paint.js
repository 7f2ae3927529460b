// The tab "Paint": a picture becomes strokes, which appear as they are made.
import { ask, base64, bytes, Stopped } from "./api.js";
import { Player } from "./ink.js";
import { $, chooser, say } from "./page.js";

const LARGEST = 1600; // pixels of the longer side of a picture that is sent
const NOTHING = { name: "", kind: "pictures", method: "by optimisation alone, without a model", figures: [], labels: [] };
const SETTLED = 150; // milliseconds without a change, until a brush is asked for its own picture
const MOST_KEPT = 3e6; // characters of a painting that the browser keeps

export class Paint {
  constructor(zoo, { save, take }) {
    Object.assign(this, { zoo, save, source: null, result: null, running: null, stream: null, timer: 0, exact: null });
    this.player = new Player($("painting"), () => this.moved());
    this.models = chooser($("paint-model"), $("paint-about"), {
      "draws pictures": zoo.models.filter((m) => m.kind === "pictures"),
      "from nothing": [{ ...NOTHING, label: "by optimisation alone" }],
    }, () => this.modelChanged());
    this.models.name = "sara-celeba";
    $("choose").onclick = () => $("file").pick("image/*", (file) => this.open(file));
    $("snap").onclick = () => this.camera();
    for (const button of document.querySelectorAll(".sample")) button.onclick = () => this.sample(button.dataset.name);
    $("paint-go").onclick = () => this.go();
    $("paint-stop").onclick = () => this.stop();
    $("paint-take").onclick = () => take(this.baggage());
    $("play").onclick = () => this.play();
    $("speed").onchange = () => { this.player.speed = Number($("speed").value); };
    $("scrub").oninput = () => this.player.show(Number($("scrub").value));
    $("wipe").oninput = () => this.compare();
    $("renderer").onchange = () => this.repaint();
    const easel = $("easel");
    for (const kind of ["dragenter", "dragover"]) easel.addEventListener(kind, (e) => { e.preventDefault(); easel.classList.add("over"); });
    for (const kind of ["dragleave", "drop"]) easel.addEventListener(kind, () => easel.classList.remove("over"));
    this.modelChanged();
  }

  get state() { return { model: this.models.name, painting: this.result && this.result.drawing.length < MOST_KEPT ? this.result : null }; }

  set state({ model, painting }) {
    this.models.name = model ?? "sara-celeba";
    this.modelChanged();
    if (painting?.outlines) this.done(painting, false);
  }

  modelChanged() {
    const { renderer, name, strokes, bundle } = this.models.model;
    $("strokes").step = bundle ?? 1;
    $("strokes").min = bundle ?? 1;
    $("strokes").max = name ? 5000 : 2000;
    $("strokes").placeholder = name ? String(strokes) : "100";
    $("strokes").value = "";
    $("tiles").disabled = $("refine").disabled = !name;
    const own = name ? [new Option(`its own strokes (${renderer})`, "")] : [];
    const others = (name ? this.zoo.renderers : this.zoo.paints).filter((r) => r !== renderer).map((r) => new Option(r, r));
    $("renderer").replaceChildren(...own, ...others);
    if (!name) $("renderer").value = "qbc";
    this.save();
  }

  // --- the picture ---

  async sample(name) {
    try {
      const answer = await fetch(`samples/${name}`);
      if (!answer.ok) throw new Error((await answer.json()).error);
      await this.picture(await createImageBitmap(await answer.blob()), `sample:${name}`, `sample:${name}`);
    } catch (error) {
      say(error.message, true);
    }
  }

  async open(file) {
    try {
      const bitmap = await createImageBitmap(file).catch(() => { throw new Error(`${file.name} is not a picture that this browser can read: give a PNG, JPEG or WebP`); });
      const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
      const small = new OffscreenCanvas(Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
      small.getContext("2d").drawImage(bitmap, 0, 0, small.width, small.height);
      await this.picture(bitmap, await base64(await small.convertToBlob({ type: "image/png" })), file.name ?? "photo.png");
    } catch (error) {
      say(error.message, true);
    }
  }

  async picture(bitmap, sent, name) {
    this.endCamera();
    this.running?.abort();
    this.source = { sent, name };
    this.result = null;
    const canvas = $("before"), scale = 768 / Math.max(bitmap.width, bitmap.height);
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    this.player.reset([1, 1, 1], bitmap.width / bitmap.height);
    $("drop-hint").hidden = true;
    $("paint-go").disabled = $("wipe").disabled = false;
    this.wiped(0);
    say(`${name}: ${bitmap.width} × ${bitmap.height} pixels. Paint it.`);
  }

  async camera() {
    if (this.stream) { // the second press takes the picture
      const video = $("camera"), canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
      canvas.getContext("2d").drawImage(video, 0, 0);
      this.endCamera();
      return this.open(new File([await canvas.convertToBlob({ type: "image/png" })], "camera.png"));
    }
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: true });
    } catch (error) {
      return say(`There is no camera to use (${error.message}).`, true);
    }
    $("camera").srcObject = this.stream;
    $("camera").hidden = false;
    await $("camera").play();
    $("snap").textContent = "Take it";
    say("Press Take it when you are ready.");
  }

  endCamera() {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    $("camera").hidden = true;
    $("snap").textContent = "Camera";
  }

  wiped(share) { $("wipe").value = share; this.compare(); }

  compare() {
    const share = 100 * Number($("wipe").value);
    $("before").style.clipPath = `inset(0 0 0 ${share}%)`;
  }

  // --- the painting ---

  request() {
    const { name } = this.models.model, strokes = $("strokes").value;
    const data = { image: this.source?.sent, renderer: $("renderer").value || undefined, strokes: strokes ? Number(strokes) : undefined };
    return name ? { ...data, model: name, tiles: Number($("tiles").value), refine: Number($("refine").value) } : data;
  }

  async go() {
    if (!this.source) return;
    for (const id of ["strokes", "refine"]) if (!$(id).disabled && !$(id).reportValidity()) return;
    this.running?.abort();
    const mine = (this.running = new AbortController());
    this.busy(true);
    this.result = null;
    this.player.take({ keep: 0, outlines: [], paper: [1, 1, 1], aspect: this.player.aspect });
    this.player.towards(0);
    this.wiped(1);
    say("Painting…");
    const begun = performance.now();
    const hear = (news) => {
      if (news.event === "loaded") return this.models.loaded(news);
      if (news.event !== "progress") return;
      $("paint-progress").value = news.done;
      if (!news.outlines) return;
      this.player.take(news);
      this.player.play(() => this.running === mine);
    };
    try {
      const result = await ask("paint", this.request(), { signal: mine.signal, hear });
      const seconds = (performance.now() - begun) / 1000;
      this.done(result, true);
      say(`${result.count} strokes in ${seconds.toFixed(1)} s.`);
    } catch (error) {
      if (error instanceof Stopped) say(`Stopped after ${this.player.rows.length} strokes. Paint starts again.`);
      else say(error.message, true);
    } finally {
      if (this.running === mine) this.running = null;
      this.busy(this.running !== null);
    }
  }

  // The whole painting, as the server gives it.
  done(result, play) {
    const same = this.player.rows.length === result.outlines.length && String(this.player.rows.at(-1)) === String(result.outlines.at(-1)) && String(this.player.rows[0]) === String(result.outlines[0]);
    this.result = result;
    if (!same) this.player.take({ ...result, keep: 0 });
    if (play && !this.player.playing) this.player.play(() => this.player.at < this.player.rows.length);
    $("drop-hint").hidden = true;
    $("paint-take").disabled = false;
    if (!play) {
      this.wiped(1);
      this.player.towards(Infinity);
    }
    this.save();
  }

  async repaint() {
    const wanted = $("renderer").value || this.models.model.renderer;
    if (!this.result || !this.models.name || this.running || wanted === this.result.renderer) return;
    try {
      say("Painting the strokes again…");
      this.done(await ask("repaint", { drawing: this.result.drawing, renderer: wanted }), true);
      say(`The same strokes, painted with ${wanted}.`);
    } catch (error) {
      say(error.message, true);
    }
  }

  opened(result) {
    this.running?.abort();
    this.player.reset(result.paper, result.aspect);
    this.source = null;
    $("paint-go").disabled = $("wipe").disabled = true;
    this.done(result, false);
  }

  busy(is) {
    $("paint-stop").disabled = !is;
    $("paint-progress").value = is ? 0 : this.result ? 1 : 0;
    if (is) $("paint-take").disabled = true;
  }

  moved() {
    const n = this.player?.rows.length ?? 0;
    if (!this.player) return;
    $("scrub").max = n;
    $("scrub").value = this.player.at;
    $("scrub").disabled = $("play").disabled = !n;
    $("scrub-shown").value = `${this.player.at} of ${n}`;
    $("play").textContent = this.player.playing ? "Pause" : "Play";
    clearTimeout(this.timer);
    this.exact?.abort();
    delete $("painting").dataset.exact;
    if (this.result?.renderer.startsWith("mypaint") && !this.player.playing) this.timer = setTimeout(() => this.brush(), SETTLED);
  }

  // The page paints outlines; what a real brush makes of them, the server knows.
  async brush() {
    const mine = (this.exact = new AbortController()), { at } = this.player;
    try {
      const data = { drawing: this.result.drawing, format: ".png", size: 768, first: at };
      const { file } = await ask("save", data, { signal: mine.signal });
      const picture = await createImageBitmap(new Blob([bytes(file)]));
      if (mine.signal.aborted) return;
      $("painting").getContext("2d").drawImage(picture, 0, 0);
      $("painting").dataset.exact = at;
    } catch (error) {
      if (!(error instanceof Stopped)) say(error.message, true);
    }
  }

  play() {
    if (this.player.playing) this.player.pause();
    else if (this.player.rows.length) this.player.play(() => this.running !== null);
  }

  stop() {
    if (this.stream) return this.endCamera();
    this.running?.abort();
  }

  baggage() {
    const { model, strokes, tiles, refine, renderer } = this.request();
    const name = this.source?.name ?? "photo.jpg", file = name.includes(" ") ? `'${name}'` : name;
    const flag = (key, value) => (value ? ` --${key} ${value}` : "");
    const argument = (key, value) => (value ? `, ${key}=${JSON.stringify(value)}` : "");
    const more = { tiles: tiles > 1 ? tiles : 0, refine };
    const command = model
      ? `zoo draw ${file} --model ${model}${flag("strokes", strokes)}${flag("tiles", more.tiles)}${flag("refine", refine)}${flag("renderer", renderer)} --out painting.svg`
      : `zoo paint ${file}${flag("renderer", renderer)}${flag("strokes", strokes)} --out painting.svg`;
    const python = model
      ? `import zoo\n\ndrawing = zoo.load("${model}").draw(${JSON.stringify(name)}${argument("strokes", strokes)}${argument("tiles", more.tiles)}${argument("refine", refine)})\n${renderer ? `drawing = drawing.to("${renderer}")\n` : ""}drawing.save("painting.svg")`
      : `import zoo\n\ndrawing = zoo.paint(${JSON.stringify(name)}${argument("renderer", renderer)}${argument("strokes", strokes)})\ndrawing.save("painting.svg")`;
    return { name: "painting", data: { drawing: this.result.drawing }, empty: !this.result, command, python };
  }
}

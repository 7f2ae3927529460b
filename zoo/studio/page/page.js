// What all tabs use: the status line, the choice of a model, files.

export const $ = (id) => document.getElementById(id);

export function say(text, bad = false, line = $("status")) {
  line.textContent = text;
  line.classList.toggle("bad", bad);
}

export function seedOf(id) {
  const seed = Math.trunc(Number($(id).value));
  return Number.isFinite(seed) ? Math.min(2147483647, Math.max(0, seed)) : 0;
}

const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

// A choice of models in groups, and what is known of the chosen one.
export function chooser(select, about, groups, changed) {
  const models = new Map();
  for (const [name, members] of Object.entries(groups)) {
    const options = members.map((m) => { models.set(m.name, m); return new Option(m.label ?? m.name, m.name); });
    if (!name) select.append(...options);
    else {
      const group = document.createElement("optgroup");
      group.label = name;
      group.append(...options);
      select.append(group);
    }
  }
  const tell = () => about.lastElementChild.replaceChildren(...facts(models.get(select.value)));
  select.onchange = () => { tell(); changed(); };
  tell();
  return {
    get name() { return select.value; },
    set name(name) { if (models.has(name)) { select.value = name; tell(); } },
    get model() { return models.get(select.value); },
    loaded: (news) => { if (news.event === "loaded") say(`${news.model} loaded: ${megabytes(news.bytes)} in ${news.seconds} s.`); },
  };
}

function facts(model) {
  const nodes = [];
  const paragraph = (...parts) => { const p = document.createElement("p"); p.append(...parts); nodes.push(p); };
  paragraph(`${model.method}${model.bytes ? `, ${megabytes(model.bytes)}` : ""}`);
  if (model.figures.length) {
    const table = document.createElement("table");
    for (const { name, dataset, value, paper } of model.figures) {
      const row = table.insertRow();
      const number = (v) => (v === null || v === undefined ? "–" : Number(v.toPrecision(3)));
      for (const text of [name, dataset, paper === null || paper === undefined ? number(value) : `${number(value)} (paper ${number(paper)})`]) row.insertCell().textContent = text;
    }
    nodes.push(table);
  }
  if (model.paper) {
    const link = document.createElement("a");
    Object.assign(link, { href: model.paper, textContent: "The paper", target: "_blank", rel: "noopener noreferrer" });
    paragraph(link);
  }
  if (model.data) paragraph(`Trained on ${model.data}.`);
  if (model.licence) paragraph(`Licence of the weights: ${model.licence}.`);
  return nodes;
}

// One input for all files: $("file").pick(kinds, then).
export function files(input) {
  input.pick = (accept, then) => {
    Object.assign(input, { accept, value: "" });
    input.onchange = () => { if (input.files.length) then(input.files[0]); };
    input.click();
  };
}

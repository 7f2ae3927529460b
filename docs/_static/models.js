// The table of models: a click on a column's head sorts by it; the controls above leave out rows.
const table = document.getElementById("models-table");
const body = table.tBodies[0];
const rows = [...body.rows];
const heads = [...table.tHead.rows[0].cells];

function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === ""); // what is not known comes last
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) ? a.localeCompare(b) : difference;
}

heads.forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const down = head.ariaSort === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const by = (row) => row.cells[column].dataset.by;
    const known = (row) => by(row) !== "";
    const sorted = [...rows].sort((a, b) => (down && known(a) && known(b) ? -1 : 1) * compare(by(a), by(b)));
    body.append(...sorted);
  });
});

const controls = document.createElement("form");
controls.className = "models-controls";
controls.addEventListener("submit", (event) => event.preventDefault());
const count = document.createElement("output");

function control(label, field) {
  const wrapped = document.createElement("label");
  wrapped.append(`${label} `, field);
  controls.append(wrapped);
  field.addEventListener("input", filter);
  return field;
}

function choice(label, name) {
  const field = document.createElement("select");
  const values = new Set(rows.map((row) => row.dataset[name]));
  field.append(new Option("all", ""), ...[...values].map((value) => new Option(value, value)));
  return control(label, field);
}

const text = document.createElement("input");
text.type = "search";
text.placeholder = "e.g. mnist, pen, MIT";
control("Search", text);
const method = choice("Method", "method");
const kind = choice("It", "it");
const free = document.createElement("input");
free.type = "checkbox";
control("Without non-commercial terms", free);
controls.append(count);
table.parentElement.before(controls);

function filter() {
  const words = text.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const row of rows) {
    const content = row.textContent.toLowerCase();
    const fits =
      words.every((word) => content.includes(word)) &&
      (!method.value || row.dataset.method === method.value) &&
      (!kind.value || row.dataset.it === kind.value) &&
      (!free.checked || row.dataset.commercial === "yes");
    row.hidden = !fits;
    shown += fits;
  }
  count.textContent = `${shown} of ${rows.length}`;
}
filter();

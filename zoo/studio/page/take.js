// The dialog "Take it with you": files, and the lines that give the same drawing.
import { ask, bytes } from "./api.js";
import { $, say } from "./page.js";

const FORMATS = { ".svg": "image/svg+xml", ".png": "image/png", ".gif": "image/gif", ".mp4": "video/mp4", ".json": "application/json", ".gcode": "text/plain" };
const NAMES = { ".gcode": "G-code" };

export function taking() {
  for (const button of document.querySelectorAll(".copy")) {
    button.onclick = async () => {
      const field = $(button.dataset.of);
      try {
        await navigator.clipboard.writeText(field.value);
        tell("Copied.");
      } catch {
        field.select();
        tell("Press Ctrl C to copy it.");
      }
    };
  }
  return take;
}

const tell = (text, bad = false) => say(text, bad, $("take-status"));

function take({ name, data, empty, formats = Object.keys(FORMATS), command, python }) {
  if (empty) return say("There is nothing to take yet.", true);
  $("command").value = command;
  $("python").value = python;
  tell("");
  $("formats").replaceChildren(...formats.map((format) => {
    const button = document.createElement("button");
    button.textContent = NAMES[format] ?? format.slice(1).toUpperCase();
    button.onclick = () => save(name, format, data);
    return button;
  }));
  $("take").showModal();
}

async function save(name, format, { sketches, drawing }) {
  if (!$("pixels").reportValidity()) return;
  const what = format === ".gif" && sketches ? { sketches } : { drawing };
  try {
    tell("Saving…");
    const { file } = await ask("save", { ...what, format, size: Number($("pixels").value) });
    const url = URL.createObjectURL(new Blob([bytes(file)], { type: FORMATS[format] }));
    const link = Object.assign(document.createElement("a"), { href: url, download: name + format });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
    tell(`${name}${format} is saved.`);
  } catch (error) {
    tell(error.message, true);
  }
}

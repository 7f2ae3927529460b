// Starts the page: tabs, keys, what the browser keeps.
import { about, ask, base64 } from "./api.js";
import { Draw } from "./draw.js";
import { Morph } from "./morph.js";
import { $, files, say } from "./page.js";
import { Paint } from "./paint.js";
import { taking } from "./take.js";

const TABS = ["draw", "paint", "morph"], KEPT = "zoo-studio";
let tabs = {}, active = "draw", timer = 0;

function choose(name, focus = false) {
  active = name;
  for (const tab of TABS) {
    const button = $(`tab-${tab}`);
    button.setAttribute("aria-selected", String(tab === name));
    button.tabIndex = tab === name ? 0 : -1;
    $(tab).hidden = tab !== name;
  }
  if (focus) $(`tab-${name}`).focus();
  save();
}

// What was drawn stays in the browser.
function save() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    if (!tabs.morph) return;
    const state = { active, ...Object.fromEntries(TABS.map((name) => [name, tabs[name].state])) };
    try { localStorage.setItem(KEPT, JSON.stringify(state)); }
    catch {
      state.paint.painting = null;
      try { localStorage.setItem(KEPT, JSON.stringify(state)); } catch { /* the browser keeps nothing */ }
    }
  }, 300);
}

function restore() {
  let state = {};
  try { state = JSON.parse(localStorage.getItem(KEPT)) ?? {}; } catch { /* nothing was kept */ }
  for (const name of TABS) if (state[name]) tabs[name].state = state[name];
  choose(TABS.includes(state.active) ? state.active : "draw");
}

async function open(file) {
  if (file.type.startsWith("image/") && file.type !== "image/svg+xml") {
    choose("paint");
    return tabs.paint.open(file);
  }
  try {
    const result = await ask("open", { name: file.name, file: await base64(file) });
    if (result.renderer.startsWith("pen") && active !== "paint") {
      choose("draw");
      tabs.draw.pad.set(result.lines);
    } else {
      choose("paint");
      tabs.paint.opened(result);
    }
    say(`${file.name}: ${result.count} strokes.`);
  } catch (error) {
    say(error.message, true);
  }
}

function key(e) {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName) && e.target.type !== "range";
  if (document.querySelector("dialog[open]") || e.altKey) return;
  const held = e.ctrlKey || e.metaKey, tab = tabs[active];
  const act = (what) => { if (what) { e.preventDefault(); what.call(tab); } };
  if (e.key === "Escape") return act(tab.stop);
  if (typing) return;
  if (held) {
    if (e.key.toLowerCase() === "z") act(e.shiftKey ? tab.redo : tab.undo);
    return;
  }
  if (e.key === " ") return /^(BUTTON|SUMMARY|A)$/.test(e.target.tagName) ? undefined : act(tab.play);
  if (/^[1-9]$/.test(e.key) && tab.look) return act(() => tab.look(Number(e.key) - 1));
  act({ u: tab.undo, r: tab.redo, k: tab.keep, a: tab.another }[e.key]);
}

async function start() {
  files($("file"));
  const zoo = await about(), take = taking();
  const tools = { save, take, page: () => tabs.draw.pad.lines };
  tabs = { draw: new Draw(zoo, tools), paint: new Paint(zoo, tools) };
  tabs.morph = new Morph(zoo, tools);
  TABS.forEach((name, i) => {
    $(`tab-${name}`).onclick = () => choose(name);
    $(`tab-${name}`).onkeydown = (e) => {
      const way = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
      if (way) choose(TABS.at((i + way) % TABS.length), true);
    };
  });
  for (const button of document.querySelectorAll(".open")) button.onclick = () => $("file").pick(".json,.svg,image/*", open);
  $("keys").onclick = () => $("help").showModal();
  document.addEventListener("keydown", key);
  document.addEventListener("dragover", (e) => e.preventDefault());
  document.addEventListener("drop", (e) => { e.preventDefault(); if (e.dataTransfer.files.length) open(e.dataTransfer.files[0]); });
  document.addEventListener("paste", (e) => { if (e.clipboardData.files.length) open(e.clipboardData.files[0]); });
  say("Draw something; a model goes on from it. Nothing leaves this machine.");
  restore();
  document.body.dataset.ready = "true";
}

start().catch((error) => say(error.message, true));

// What all pictures share: the data, elements made of text alone, times in words, and what is chosen and seen at the moment.
document.documentElement.classList.add("scripted");
const data = JSON.parse(document.getElementById("data").textContent);
const byId = id => document.getElementById(id);

/** An element; children are elements or text, and text never becomes markup. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  element.append(...children);
  return element;
}
function draw(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const two = n => String(n).padStart(2, "0");
/** A moment of the run, as exactly as a step of the axis needs it. */
function moment(us, step = 1000) {
  const ms = Math.round(us / 1000), s = Math.floor(ms / 1000), h = Math.floor(s / 3600);
  const clock = h ? `${h}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`;
  if (step >= 1e6) return clock;
  return clock + "." + String(ms % 1000).padStart(3, "0").slice(0, step >= 1e5 ? 1 : step >= 1e4 ? 2 : 3);
}
function span(us) {
  if (us < 1e3) return `${us} µs`;
  if (us < 1e4) return `${(us / 1e3).toFixed(1)} ms`;
  if (us < 1e6) return `${Math.floor(us / 1e3)} ms`;
  if (us < 1e7) return `${(us / 1e6).toFixed(2)} s`;
  if (us < 6e7) return `${(us / 1e6).toFixed(1)} s`;
  const both = (large, of, small, ofSmall) => small ? `${large} ${of} ${small} ${ofSmall}` : `${large} ${of}`;
  if (us < 72e8) return both(Math.floor(us / 6e7), "min", Math.floor(us / 1e6) % 60, "s");
  return both(Math.floor(us / 36e8), "h", Math.floor(us / 6e7) % 60, "min");
}
/** A round length of time, as axes have them. */
const round = us => us < 1e3 ? `${us} µs` : us < 1e6 ? `${us / 1e3} ms` : us < 6e7 ? `${us / 1e6} s` : us % 6e7 ? span(us) : us < 36e8 ? `${us / 6e7} min` : us % 36e8 ? span(us) : `${us / 36e8} h`;
const bytes = n => n < 1e3 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toFixed(1)} kB` : n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(1)} GB`;
const counted = n => n.toLocaleString("en");

const STEPS = [1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7, 2e7, 3e7, 6e7, 12e7, 3e8, 6e8, 12e8, 36e8, 72e8, 144e8, 432e8, 864e8];
/** Round moments between two, at least so many units apart. */
function ticks(from, to, length, apart) {
  const step = STEPS.find(step => step / (to - from) * length >= apart) || STEPS[STEPS.length - 1];
  const list = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) list.push(at);
  return [list, step];
}

const colour = lane => `var(--r${lane % 9})`;
const region = lane => data.regions[lane] ?? "?";
const device = index => (data.devices[index] ?? ["?", 0])[0];
const faults = data.faults.map(([what, harm, place, kind, one, other, begins, ends]) => ({ what, harm, place, kind, one, other, begins, ends }));
const length = Math.max(data.length, 1);

/** Messages with what their steps sum up to. */
const messages = data.messages.map((raw, index) => {
  const steps = raw.s.map(([at, what, one, other, waited, why]) => ({ at, what, one, other, waited, why }));
  const on = what => steps.filter(step => step.what === what);
  const shown = steps.filter(step => step.what === "shown" || step.what === "marked");
  const others = shown.filter(step => step.one !== raw.a);
  const last = Math.max(raw.p, ...others.map(step => step.at));
  const applied = on("applied");
  // Where it is not known when regions had it, it reached one when a device there first showed it.
  const first = new Map();
  for (const step of others) if (step.other !== raw.h && !first.has(step.other)) first.set(step.other, { at: step.at, one: step.other });
  const reached = applied.length ? applied : [...first.values()];
  return { index, id: raw.id, conversation: raw.c, author: raw.a, home: raw.h, posted: raw.p, shownInAll: raw.n, steps, shown, others,
    acknowledged: on("acknowledged")[0], taken: on("taken")[0], stable: on("stable")[0], applied, reached, left: on("left"),
    last, took: last - raw.p, end: Math.max(raw.p, ...steps.map(step => step.at)) };
});

/** What is chosen, and who wants to know. */
const chosen = { message: null, fault: null, listeners: [] };
function choose(message, { look = false } = {}) {
  chosen.message = message;
  for (const listener of chosen.listeners) listener(message, look);
}

/** Hatching for what is cut, so that it is told apart without colours; each drawing has its own. */
function hatching(id) {
  const defs = draw("defs");
  const pattern = draw("pattern", { id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  pattern.append(draw("line", { x1: 0, y1: 0, x2: 0, y2: 7, class: "cut", "stroke-width": 1.6 }));
  defs.append(pattern);
  return defs;
}

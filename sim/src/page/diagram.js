// The space-time diagram. Time runs to the right where there is room, and downwards on a phone; everything is drawn in (time, across) and turned.
const diagram = (() => {
  const box = byId("diagram");
  const view = { from: 0, to: length };
  const SHORTEST = 2000;
  let wide = true, size = { along: 0, across: 0 }, start = 0, gap = 0;

  const along = at => start + (at - view.from) / (view.to - view.from) * (size.along - start - 14);
  const back = x => view.from + (x - start) / (size.along - start - 14) * (view.to - view.from);
  const lane = index => (wide ? 46 : 34) + gap * (index + .5);
  const point = (a, b) => wide ? [a, b] : [b, a];
  const line = (...places) => "M" + places.map(([at, across]) => point(along(at), across).map(n => Math.round(n * 10) / 10).join(" ")).join("L");

  function rectangle(from, to, low, high, attributes) {
    const a = Math.max(along(from), start), b = Math.min(along(to), size.along);
    if (b < a) return null;
    const width = Math.max(b - a, 2);
    return draw("rect", wide ? { x: a, y: low, width, height: high - low, ...attributes } : { x: low, y: a, width: high - low, height: width, ...attributes });
  }

  /** The places of a message's ways: along the lane that it left from, then across. */
  function ways(message) {
    const origin = message.taken ? message.taken.one : message.home;
    return message.reached.map(step => {
      const left = message.left.filter(left => left.other === step.one && left.at <= step.at).pop();
      const from = left ? left.one : origin, since = left ? left.at : (message.taken ? message.taken.at : message.posted);
      return { step, places: [[message.posted, lane(from)], [since, lane(from)], [step.at, lane(step.one)]] };
    });
  }

  function fault(group, fault, index) {
    if (fault.kind === "device" || fault.ends < view.from || fault.begins > view.to) return;
    const lit = chosen.fault === index ? " bright" : "";
    const one = lane(fault.one), other = lane(fault.other);
    const half = fault.harm === "cut" ? Math.min(gap * .42, 30) : 9;
    const [low, high] = fault.kind === "region" ? [one - half, one + half] : [Math.min(one, other) + 5, Math.max(one, other) - 5];
    const solid = fault.kind === "region" && fault.harm !== "cut";
    const shade = rectangle(fault.begins, fault.ends, low, high, { class: `shade ${fault.harm}${lit}`, rx: 3 });
    if (!shade) return;
    if (solid) shade.style.opacity = lit ? .75 : .45;
    shade.append(draw("title", {}, `${fault.place} ${fault.what}, ${moment(fault.begins)} to ${moment(fault.ends)}`));
    group.append(shade);
    if (fault.harm === "cut") {
      const hatch = rectangle(fault.begins, fault.ends, low, high, { class: "hatch", fill: "url(#hatch)", rx: 3 });
      if (hatch) group.append(hatch);
    }
    const a = Math.max(along(fault.begins), start), room = Math.min(along(fault.ends), size.along) - a;
    labels.push({ a: a + 5, b: fault.kind === "region" ? (fault.harm === "cut" ? low + 13 : low - 4) : (fault.kind === "way" && fault.one > fault.other ? (low + high) / 2 + 16 : (low + high) / 2 + 4),
      low, high, room, text: `${fault.place} ${fault.what}`, what: fault.what, lit: Boolean(lit) });
  }

  /** Fault names where they fit and do not lie on each other. */
  let labels = [];
  function write(group) {
    const taken = [];
    labels.sort((one, other) => other.lit - one.lit || other.room - one.room);
    for (const label of labels) {
      const fits = text => text.length * 6.3 + 8 < label.room || label.lit;
      const text = wide ? (fits(label.text) ? label.text : fits(label.what) ? label.what : null) : (label.room > 16 ? label.what : null);
      if (!text) continue;
      const width = text.length * 6.3;
      let [x, y] = wide ? [label.a, label.b] : [(label.low + label.high) / 2 - width / 2, label.a + 12];
      x = Math.max(wide ? start : 4, Math.min(x, (wide ? size.along : size.across) - width - 4));
      const place = { x, y: y - 10, right: x + width, bottom: y + 3 };
      if (taken.some(other => place.x < other.right && other.x < place.right && place.y < other.bottom && other.y < place.bottom)) continue;
      taken.push(place);
      group.append(draw("text", { x, y, class: "label" }, text));
    }
  }

  function render() {
    const width = box.clientWidth;
    if (!width) return;
    wide = width >= 640;
    const lanes = Math.max(data.regions.length, 1);
    start = wide ? Math.min(170, 34 + 8 * Math.max(...data.regions.map(name => name.length), 4)) : 26;
    size = wide ? { along: width, across: Math.min(Math.max(lanes * 100 + 60, 300), 720) } : { along: 560, across: width };
    gap = wide ? (size.across - 58) / lanes : (width - 40) / lanes;
    const svg = draw("svg", { viewBox: wide ? `0 0 ${width} ${size.across}` : `0 0 ${width} ${size.along}`, height: wide ? size.across : size.along, "aria-hidden": "true" });
    svg.append(hatching("hatch"));
    const low = wide ? 30 : 40, high = size.across - (wide ? 12 : 0);
    const clip = draw("clipPath", { id: "inside" });
    clip.append(draw("rect", wide ? { x: start, y: 0, width: width - start, height: size.across } : { x: 0, y: start, width, height: size.along - start }));
    svg.append(clip);
    if (data.calm !== null) {
      const calm = rectangle(Math.max(data.calm, view.from), Math.min(length, view.to), low, high, { class: "calm" });
      if (calm) svg.append(calm);
    }
    const [list, step] = ticks(view.from, view.to, size.along - start, wide ? 84 : 46);
    for (const at of list) {
      const a = along(at);
      svg.append(draw("path", { class: "grid", d: wide ? `M${a} ${low}V${high}` : `M${low} ${a}H${size.across}` }));
      if (wide ? a < width - 20 : a < size.along - 8) svg.append(draw("text", wide ? { x: a, y: 20, "text-anchor": "middle" } : { x: 3, y: a + 4 }, moment(at, step)));
    }
    const inside = draw("g", { "clip-path": "url(#inside)" });
    svg.append(inside);
    labels = [];
    const shades = draw("g");
    faults.forEach((one, index) => fault(shades, one, index));
    inside.append(shades);
    data.regions.forEach((name, index) => {
      const [x1, y1] = point(start, lane(index)), [x2, y2] = point(size.along, lane(index));
      inside.append(draw("line", { x1, y1, x2, y2, class: "lane", stroke: colour(index) }));
    });
    const lines = draw("g", { class: chosen.message ? "dim" : "" });
    for (const message of messages) {
      if (message.end < view.from || message.posted > view.to || message === chosen.message) continue;
      const d = ways(message).map(way => line(...way.places.slice(1))).join("");
      if (d) lines.append(draw("path", { class: "way", d, stroke: colour(message.home) }));
    }
    inside.append(lines);
    for (const [at, what] of data.findings) {
      if (at < view.from || at > view.to) continue;
      const mark = draw("path", { class: "finding", d: line([at, low], [at, high]) });
      mark.append(draw("title", {}, `${moment(at)}: ${what}`));
      inside.append(mark);
    }
    if (chosen.message) follow(inside, chosen.message);
    const names = draw("g");
    data.regions.forEach((name, index) => {
      const short = wide || name.length * 7 < gap ? name : name.slice(0, Math.max(Math.floor(gap / 7.4) - 1, 3)) + "…";
      names.append(draw("circle", wide ? { cx: 16, cy: lane(index), r: 5, fill: colour(index) } : { cx: lane(index), cy: 32, r: 4, fill: colour(index) }));
      names.append(draw("text", wide ? { x: 28, y: lane(index) + 4, class: "name" } : { x: lane(index), y: 20, class: "name", "text-anchor": "middle" }, short));
    });
    svg.append(names);
    const words = draw("g");
    write(words);
    svg.append(words);
    box.replaceChildren(svg);
    const whole = view.from <= 0 && view.to >= length;
    box.classList.toggle("zoomed", !whole);
    byId("window").textContent = `${moment(view.from)} to ${moment(view.to)}`;
    for (const id of ["out", "all", "back", "forth"]) byId(id).disabled = whole;
  }

  function follow(group, message) {
    const stroke = colour(message.home);
    for (const way of ways(message)) group.append(draw("path", { class: "on", d: line(...way.places), stroke }));
    const end = Math.max(message.last, message.posted);
    const dot = (at, index, radius, title) => {
      const [cx, cy] = point(along(at), lane(index));
      const circle = draw("circle", { cx, cy, r: radius, class: "dot", fill: colour(index) });
      circle.append(draw("title", {}, title));
      group.append(circle);
    };
    for (const step of message.others) dot(step.at, step.other, 4, `shown on ${device(step.one)}, ${moment(step.at)}`);
    for (const step of message.applied) dot(step.at, step.one, 5, `applied in ${region(step.one)}, ${moment(step.at)}`);
    dot(message.posted, message.home, 6, `posted by ${device(message.author)}, ${moment(message.posted)}`);
    return end;
  }

  function move(from, to) {
    const span = Math.min(Math.max(to - from, Math.min(SHORTEST, length)), length);
    const middle = (from + to) / 2;
    view.from = Math.min(Math.max(middle - span / 2, 0), length - span);
    view.to = view.from + span;
    schedule();
  }
  let scheduled = false;
  function schedule() {
    if (scheduled) return;
    scheduled = true;
    requestAnimationFrame(() => { scheduled = false; render(); });
  }
  function zoom(by, around = (view.from + view.to) / 2) {
    move(around - (around - view.from) * by, around + (view.to - around) * by);
  }
  const pan = share => { const by = (view.to - view.from) * share; move(view.from + by, view.to + by); };
  /** Shows a message with a little room around it. */
  function look(message) {
    const room = Math.max((message.end - message.posted) * .15, 4000);
    move(message.posted - room, message.end + room);
  }

  /** The message whose line is nearest, if one is near. */
  function near(x, y) {
    let best = null, distance = 14;
    for (const message of messages) {
      if (message.end < view.from || message.posted > view.to) continue;
      for (const way of ways(message)) {
        const [, [a, b], [c, d]] = way.places;
        const [x1, y1] = point(along(a), b), [x2, y2] = point(along(c), d);
        const length = (x2 - x1) ** 2 + (y2 - y1) ** 2 || 1;
        const t = Math.min(Math.max(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length, 0), 1);
        const off = Math.hypot(x - x1 - t * (x2 - x1), y - y1 - t * (y2 - y1));
        if (off < distance) [best, distance] = [message, off];
      }
    }
    return best;
  }

  const fingers = new Map();
  let moved = false;
  const at = event => { const r = box.getBoundingClientRect(); return [event.clientX - r.left, event.clientY - r.top]; };
  box.addEventListener("pointerdown", event => { fingers.set(event.pointerId, at(event)); moved = false; });
  box.addEventListener("pointermove", event => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = at(event), axis = wide ? 0 : 1;
    if (fingers.size === 2) {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const apart = (one, two) => Math.max(Math.hypot(one[0] - two[0], one[1] - two[1]), 8);
      zoom(apart(before, other) / apart(now, other), back((now[axis] + other[axis]) / 2));
      moved = true;
      fingers.set(event.pointerId, now);
    } else if (moved || Math.hypot(now[0] - before[0], now[1] - before[1]) > 4) {
      if (!moved) { moved = true; box.classList.add("dragged"); try { box.setPointerCapture(event.pointerId); } catch { /* it is gone already */ } }
      const by = back(before[axis]) - back(now[axis]);
      fingers.set(event.pointerId, now);
      move(view.from + by, view.to + by);
    }
  });
  const lift = event => { fingers.delete(event.pointerId); box.classList.remove("dragged"); };
  box.addEventListener("pointerup", lift);
  box.addEventListener("pointercancel", lift);
  box.addEventListener("click", event => {
    if (moved) return;
    choose(near(...at(event)));
  });
  box.addEventListener("dblclick", event => zoom(.4, back(at(event)[wide ? 0 : 1])));
  box.addEventListener("wheel", event => {
    const sideways = wide && Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!event.ctrlKey && !event.metaKey && !sideways) return;
    event.preventDefault();
    if (sideways) pan(event.deltaX / size.along); else zoom(Math.exp(event.deltaY * .004), back(at(event)[wide ? 0 : 1]));
  }, { passive: false });
  const keys = {
    ArrowLeft: () => pan(-.2), ArrowRight: () => pan(.2), ArrowUp: () => pan(-.2), ArrowDown: () => pan(.2),
    "+": () => zoom(.6), "=": () => zoom(.6), "-": () => zoom(1 / .6), "0": () => move(0, length),
    n: () => step(1), p: () => step(-1), Escape: () => choose(null),
  };
  function step(by) {
    if (!messages.length) return;
    const now = chosen.message ? chosen.message.index : by > 0 ? -1 : 0;
    choose(messages[(now + by + messages.length) % messages.length]);
  }
  box.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    if (!wide && event.key.startsWith("Arrow") && view.from <= 0 && view.to >= length) return;
    event.preventDefault();
    keys[event.key]();
  });
  byId("in").onclick = () => zoom(.5);
  byId("out").onclick = () => zoom(2);
  byId("back").onclick = () => pan(-.5);
  byId("forth").onclick = () => pan(.5);
  byId("all").onclick = () => move(0, length);
  for (const item of document.querySelectorAll("[data-fault]")) {
    const light = on => { chosen.fault = on ? Number(item.dataset.fault) : null; item.classList.toggle("bright", on); schedule(); };
    item.addEventListener("pointerenter", () => light(true));
    item.addEventListener("pointerleave", () => light(false));
  }
  new ResizeObserver(schedule).observe(box);
  chosen.listeners.push((message, wanted) => { if (message && wanted) look(message); else schedule(); });
  render();
  return { look, wide: () => wide };
})();

// One message: a list to choose from, its journey as a picture, and its steps as a table with what each wait is explained by.
(() => {
  const list = byId("messages");
  if (!list) return;
  const LISTED = 200;
  const order = byId("order"), from = byId("from");
  data.regions.forEach((name, index) => from.append(make("option", { value: index }, name)));

  const pick = () => {
    const some = messages.filter(message => from.value === "" || message.home === Number(from.value));
    if (order.value === "slow") some.sort((one, other) => other.took - one.took || one.posted - other.posted);
    return some;
  };
  function fill() {
    const some = pick(), here = some.slice(0, LISTED);
    if (chosen.message && !here.includes(chosen.message)) here.unshift(chosen.message);
    list.replaceChildren(...here.map(message => {
      const late = message.steps.some(step => step.why.length);
      const took = make("span", { class: "took" + (late ? " late" : "") }, message.others.length ? span(message.took) : "not shown");
      const button = make("button", { type: "button", "data-message": message.index }, took, device(message.author),
        make("small", {}, `${moment(message.posted)} · ${region(message.home)} · ${message.conversation}`));
      if (message === chosen.message) button.setAttribute("aria-current", "true");
      button.onclick = () => choose(message, { look: true });
      return make("li", {}, button);
    }));
    byId("listed").textContent = some.length > LISTED ? `The first ${LISTED} of ${counted(some.length)} are listed.`
      : "Beside each: until the last other device showed it.";
  }
  order.onchange = from.onchange = fill;

  const place = {
    posted: (step, message) => device(message.author), taken: step => region(step.one), acknowledged: (step, message) => device(message.author),
    left: step => `${region(step.one)} → ${region(step.other)}`, applied: step => region(step.one),
    shown: step => `${device(step.one)} in ${region(step.other)}`, marked: step => `${device(step.one)} in ${region(step.other)}`,
    delivered: step => device(step.one), read: step => device(step.one), stable: (step, message) => device(message.author),
  };
  const words = {
    posted: "posted", taken: "durable in its region", acknowledged: "acknowledged to its author", left: "left on a bridge", applied: "applied in another region",
    shown: "shown", marked: "shown, with the mark that its author had seen more", delivered: "author told: delivered", read: "author told: read",
    stable: "author told: all regions have it",
  };
  const because = step => step.why.map(index => {
    const fault = faults[index];
    const gone = fault.ends < step.at - step.waited;
    return `${fault.place}: ${fault.what} until ${moment(fault.ends)}${gone ? ", connections came back later" : ""}`;
  }).join("; ");
  function wait(step) {
    if (step.waited < 1e5) return "";
    if (step.why.length) return `waited ${span(step.waited)}: ${because(step)}`;
    return step.waited < 1e6 ? "" : `waited ${span(step.waited)}, without a fault on its way: for what comes before it, or for another try`;
  }

  function tell(message) {
    const said = byId("said"), steps = byId("steps"), journey = byId("journey");
    if (!message) {
      said.replaceChildren(make("p", { class: "quiet" }, "Choose a message from the list, or click a line in the picture."));
      steps.replaceChildren();
      journey.replaceChildren();
      journey.hidden = true;
      return;
    }
    journey.hidden = false;
    const slowest = message.steps.filter(step => step.why.length).sort((one, other) => other.waited - one.waited)[0];
    const devices = message.shownInAll - (message.shown.length - message.others.length);
    const parts = [`Posted at ${moment(message.posted)} on ${device(message.author)} in ${region(message.home)}`,
      message.acknowledged ? `acknowledged after ${span(message.acknowledged.at - message.posted)}` : "never acknowledged",
      message.others.length ? `shown on ${devices === 1 ? "one other device" : `${devices} other devices`}, the last after ${span(message.took)}` : "shown on no other device"];
    const text = make("p", {}, parts.join("; ") + ". ");
    if (slowest) text.append(make("span", { class: "why" }, `The longest wait was ${span(slowest.waited)}. ${because(slowest)}.`));
    const zoom = make("button", { type: "button" }, "Show it in the picture");
    zoom.onclick = () => { diagram.look(message); byId("picture").scrollIntoView(); };
    said.replaceChildren(make("h3", {}, `A message in ${message.conversation}`), make("p", { class: "quiet" }, message.id), text, zoom);
    draws(journey, message);
    const head = make("tr", {}, ...["after", "", "what", "where"].map((name, index) => make("th", index < 2 ? { scope: "col", class: "n" } : { scope: "col" }, name || "at")));
    const rows = message.steps.map(step => {
      const where = make("td", {}, place[step.what](step, message));
      const waited = wait(step);
      if (waited) where.append(make("div", { class: step.why.length ? "why" : "quiet" }, waited));
      return make("tr", { "data-step": step.what }, make("td", { class: "n" }, step.at === message.posted ? "0" : "+" + span(step.at - message.posted)),
        make("td", { class: "n quiet" }, moment(step.at)), make("td", {}, words[step.what]), where);
    });
    steps.replaceChildren(make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
    if (message.shownInAll > message.shown.length) steps.append(make("p", { class: "quiet" }, `${counted(message.shownInAll)} showings in all; the first ${message.shown.length} are here.`));
  }

  // A row for each region and each device, from posted to the last step; a bar is a wait, shaded by what explains it.
  const ROWS = 24;
  function draws(box, message) {
    const width = box.clientWidth || 600, wide = width >= 560, start = wide ? 190 : 14, high = wide ? 26 : 40;
    const from = message.posted, to = Math.max(message.end, from + 1000);
    const x = at => start + (at - from) / (to - from) * (width - start - 24);
    const rows = [{ name: device(message.author), steps: message.steps.filter(step => ["posted", "acknowledged", "stable"].includes(step.what)), lane: message.home, author: true }];
    const lanes = [...new Set([message.taken ? message.taken.one : message.home, ...message.applied.map(step => step.one), ...message.others.map(step => step.other)])];
    for (const lane of lanes) {
      const at = message.steps.find(step => (step.what === "applied" || step.what === "taken") && step.one === lane);
      // What waited before it left for this region waited here too.
      const before = at && message.left.filter(left => left.other === lane && left.at <= at.at && left.why.length).pop();
      rows.push({ name: region(lane), lane, steps: at ? [before ? { ...at, waited: at.at - before.at + before.waited, why: before.why } : at] : [], region: true });
      for (const step of message.others.filter(step => step.other === lane)) {
        const ticks = message.steps.filter(tick => tick.what === "read" && tick.one === step.one);
        rows.push({ name: device(step.one), lane, steps: [step, ...ticks], since: at ? at.at : from, inner: true });
      }
    }
    const here = rows.slice(0, ROWS), height = 34 + here.length * high + 8;
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": "The journey of the message; the table below says the same." });
    svg.append(hatching("hatch-journey"));
    const [list, step] = ticks(0, to - from, width - start - 24, wide ? 80 : 70);
    for (const after of list) {
      svg.append(draw("path", { class: "grid", d: `M${x(from + after)} 26V${height - 6}` }));
      svg.append(draw("text", { x: x(from + after), y: 18, "text-anchor": after ? "middle" : "start" }, after ? "+" + round(after) : "sent"));
    }
    const places = here.map((row, index) => 34 + high * index + (wide ? high / 2 : 27));
    here.forEach((row, index) => {
      const y = places[index], first = row.steps[0];
      if (row.inner && first) svg.append(draw("path", { class: "edge", stroke: colour(row.lane), d: `M${x(row.since)} ${y}H${x(first.at)}` }));
      if (row.region && index > 1 && first) svg.append(draw("path", { class: "edge", stroke: colour(message.home), d: `M${x(from)} ${places[1]}V${y}H${x(first.at)}` }));
    });
    here.forEach((row, index) => {
      const y = places[index];
      const name = row.name.length > 24 ? row.name.slice(0, 23) + "…" : row.name;
      svg.append(draw("text", wide ? { x: row.inner ? 30 : 14, y: y + 4, class: row.region ? "name" : "" } : { x: row.inner ? 24 : 14, y: y - 11, class: row.region ? "name" : "" }, name));
      for (const step of row.steps) {
        const waits = step.what === "applied" || step.what === "taken" || step.what === "shown" || step.what === "marked" || step.what === "stable" || step.what === "acknowledged";
        const since = Math.max(step.at - step.waited, from);
        if (waits && step.waited >= 1e5) {
          const w = Math.max(x(step.at) - x(since), 1);
          svg.append(draw("rect", { x: x(since), y: y - 5, width: w, height: 10, rx: 3, class: "shade " + (step.why.length ? faults[step.why[0]].harm : "device") }));
          if (step.why.length && faults[step.why[0]].harm === "cut") svg.append(draw("rect", { x: x(since), y: y - 5, width: w, height: 10, fill: "url(#hatch-journey)", class: "hatch" }));
          if (step.why.length && w > 150) svg.append(draw("text", { x: x(since) + 6, y: y + 4, class: "label" }, fit(`${faults[step.why[0]].place} ${faults[step.why[0]].what}`, w - 12)));
        }
        const hollow = step.what === "read" ? { fill: "var(--card)", style: `stroke: ${colour(row.lane)}` } : { fill: colour(row.lane) };
        const circle = draw("circle", { cx: x(step.at), cy: y, r: row.region ? 5.5 : 4.5, class: "dot", ...hollow });
        circle.append(draw("title", {}, `${words[step.what]}, +${span(step.at - from)}`));
        svg.append(circle);
      }
    });
    box.replaceChildren(svg, make("p", { class: "quiet" }, "Dots: posted, applied, shown; hollow: its author saw that it was read."));
    if (rows.length > ROWS) box.append(make("p", { class: "quiet" }, `${rows.length - ROWS} more devices are in the table.`));
  }
  const fit = (text, width) => text.length * 6.3 <= width ? text : text.slice(0, Math.max(Math.floor(width / 6.3) - 1, 1)) + "…";

  const fragment = /^#m=(\d+)$/;
  chosen.listeners.push(message => {
    for (const button of list.querySelectorAll("button")) {
      const on = message !== null && Number(button.dataset.message) === message.index;
      if (on) button.setAttribute("aria-current", "true"); else button.removeAttribute("aria-current");
    }
    if (message && !list.querySelector("[aria-current]")) fill();
    const current = list.querySelector("[aria-current]");
    if (current) {
      const top = current.offsetTop - list.offsetTop;
      if (top < list.scrollTop || top + current.offsetHeight > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 2;
    }
    tell(message);
    try { history.replaceState(null, "", message ? `#m=${message.index}` : "#"); } catch { /* a page without an address */ }
  });
  new ResizeObserver(() => { if (chosen.message) draws(byId("journey"), chosen.message); }).observe(byId("steps").parentElement);
  fill();
  const named = fragment.exec(location.hash);
  const slowest = messages.slice().sort((one, other) => other.took - one.took)[0];
  const first = named ? messages[Number(named[1])] : null;
  if (first) choose(first, { look: true }); else if (slowest) { chosen.message = slowest; fill(); tell(slowest); chosen.message = slowest; }
})();

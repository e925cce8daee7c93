// Figures over time: time to show inside and across regions on a logarithmic scale, and bytes on the links. Faults are shaded behind all of them.
(() => {
  const box = byId("charts");
  if (!box) return;
  const every = data.every, count = Math.max(data.inside.length, data.across.length, 1);
  const until = every * count, value = byId("value");
  const LEFT = 62, RIGHT = 16;
  let marks = [];

  function frame(title, key, height) {
    const figure = make("figure", {}, make("figcaption", {}, title, make("span", {}, key)));
    box.append(figure);
    const width = figure.clientWidth;
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": `${title}. The table below has the numbers.` });
    figure.append(svg);
    const x = at => LEFT + Math.min(at, until) / until * (width - LEFT - RIGHT);
    for (const fault of faults) {
      if (fault.kind === "device") continue;
      svg.append(draw("rect", { class: `shade ${fault.harm}`, x: x(fault.begins), y: 8, width: Math.max(x(fault.ends) - x(fault.begins), 1.5), height: height - 34 }));
    }
    const [list, step] = ticks(0, until, width - LEFT - RIGHT, 74);
    for (const at of list) svg.append(draw("text", { x: x(at), y: height - 9, "text-anchor": at ? "middle" : "start" }, moment(at, step)));
    const mark = draw("path", { class: "at" });
    svg.append(mark);
    marks.push({ mark, x, height });
    const show = index => {
      for (const { mark, x, height } of marks) mark.setAttribute("d", `M${x((index + .5) * every)} 8V${height - 26}`);
      value.textContent = told(index);
    };
    svg.addEventListener("pointermove", event => {
      const r = svg.getBoundingClientRect();
      const at = (event.clientX - r.left - LEFT) / (width - LEFT - RIGHT) * until;
      if (at >= 0 && at < until) show(Math.floor(at / every));
    });
    return { svg, x, width };
  }
  function told(index) {
    const one = (name, [samples, half, most] = [0, 0, 0]) => samples ? `${name} ${span(half)} half, ${span(most)} for 99 of 100 (${counted(samples)})` : `${name} nothing`;
    return `${moment(index * every, 1e6)}: ${one("inside", data.inside[index])}; ${one("across", data.across[index])}`;
  }

  function times(title, list) {
    const height = 190, { svg, x, width } = frame(title, "line: half · dashed: 99 of 100", height);
    const seen = list.filter(spread => spread[0]);
    const low = Math.log10(Math.max(Math.min(...seen.map(spread => spread[1]), 1e9), 100)) - .15;
    const high = Math.max(Math.log10(Math.max(...seen.map(spread => spread[2]), 1000)) + .15, low + 1);
    const y = us => 12 + (1 - (Math.log10(Math.max(us, 1)) - low) / (high - low)) * (height - 42);
    for (const us of !seen.length ? [] : [1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 6e7, 6e8, 36e8]) {
      if (Math.log10(us) < low || Math.log10(us) > high) continue;
      svg.append(draw("path", { class: "grid", d: `M${LEFT} ${y(us)}H${width - RIGHT}` }), draw("text", { x: LEFT - 8, y: y(us) + 4, "text-anchor": "end" }, round(us)));
    }
    const runs = [[]];
    list.forEach((spread, index) => { if (spread[0]) runs[runs.length - 1].push([index, spread]); else if (runs[runs.length - 1].length) runs.push([]); });
    for (const run of runs.filter(run => run.length)) {
      // Steps: a figure holds for its whole interval.
      const path = pick => run.map(([index, spread]) => [[index * every, pick(spread)], [(index + 1) * every, pick(spread)]]).flat();
      const text = places => places.map(([at, us]) => `${x(at).toFixed(1)} ${y(us).toFixed(1)}`).join("L");
      const half = path(spread => spread[1]), most = path(spread => spread[2]);
      svg.append(draw("path", { class: "band", d: `M${text(most)}L${text(half.slice().reverse())}Z` }));
      svg.append(draw("path", { class: "most", d: "M" + text(most) }), draw("path", { class: "half", d: "M" + text(half) }));
    }
    if (!seen.length) svg.append(draw("text", { x: LEFT, y: height / 2 }, "Nothing was shown."));
  }

  function links() {
    if (!data.bytes.length) return;
    const most = Math.max(1, ...data.bytes.flatMap(([, , list]) => list));
    const row = 46, height = 36 + row * data.bytes.length;
    const { svg, x, width } = frame("Bytes on each link", `the tallest bar is ${bytes(most)}`, height);
    data.bytes.forEach(([from, to, list], index) => {
      const base = 8 + row * (index + 1);
      svg.append(draw("path", { class: "grid", d: `M${LEFT} ${base}H${width - RIGHT}` }));
      list.forEach((n, at) => {
        if (!n) return;
        const tall = Math.max(n / most * (row - 20), .8), bar = Math.max(x((at + 1) * every) - x(at * every) - .6, .6);
        svg.append(draw("rect", { class: "bar", x: x(at * every), y: base - tall, width: bar, height: tall, fill: colour(from) }));
      });
      const sum = list.reduce((one, other) => one + other, 0);
      svg.append(draw("text", { x: LEFT, y: base - row + 15, class: "label" }, `${region(from)} → ${region(to)}: ${bytes(sum)}`));
    });
  }
  let drawn = 0;
  function all() {
    if (box.clientWidth === drawn) return;
    drawn = box.clientWidth;
    box.replaceChildren();
    marks = [];
    times("Shown in the author's region", data.inside);
    times("Shown in another region", data.across);
    links();
  }
  new ResizeObserver(() => requestAnimationFrame(all)).observe(box);
  all();
})();

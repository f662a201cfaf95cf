"use strict";

// Tables whose headings are buttons sort by the numbers or words of a column.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    const rows = [...table.tBodies[0].rows];
    const numeric = head.classList.contains("number");
    rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      // Missing values stay at the end, whichever way the others go.
      if (x === "" || y === "") return (x === "") - (y === "");
      const order = numeric ? Number(x) - Number(y) : x.localeCompare(y);
      return up ? order : -order;
    });
    table.tBodies[0].append(...rows);
  }));
}

// The ledger can show one verdict only.
document.getElementById("verdict")?.addEventListener("change", (event) => {
  for (const row of document.querySelectorAll("table.ledger tbody tr"))
    row.hidden = event.target.value !== "" && row.dataset.verdict !== event.target.value;
});

// Training curves: lines that answer to pointer, touch and arrow keys.
const store = document.getElementById("curves-data");
if (store) drawCurves(JSON.parse(store.textContent));

function drawCurves(data) {
  const chart = document.getElementById("chart");
  const tip = document.getElementById("tip");
  const choice = document.getElementById("loss");
  const legend = document.getElementById("legend");
  const said = document.getElementById("said");
  const hidden = new Set();
  let svg, spots = [], near = null;

  const make = (name, attributes = {}, text = "") => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  };
  const tokens = (n) => n >= 1e6 ? `${+(n / 1e6).toPrecision(3)}M` : n >= 1e3 ? `${+(n / 1e3).toPrecision(3)}k` : `${n}`;
  // A line has one colour on a light page and another on a dark one; the style sheet chooses.
  const ink = (node, look) => {
    node.classList.add("inked");
    node.style.setProperty("--day", look.colour);
    node.style.setProperty("--night", look.night);
    return node;
  };

  data.methods.forEach((look, index) => {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.checked = true;
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(index); else hidden.add(index);
      draw();
    });
    const sample = make("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" });
    sample.append(ink(make("line", { x1: 0, y1: 5, x2: 26, y2: 5, "stroke-width": 2.4, "stroke-dasharray": look.dashes }), look));
    label.append(box, sample, look.label);
    legend.append(label);
  });

  function ticks(low, high, count) {
    const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
    const found = [];
    for (let v = Math.ceil(low / step) * step; v <= high + 1e-9; v += step) found.push(+v.toPrecision(10));
    return found;
  }

  function draw() {
    const loss = data.losses[choice.value];
    const width = Math.max(chart.clientWidth, 240), height = Math.min(430, Math.max(270, width * 0.5));
    const left = 44, right = 10, top = 22, bottom = 40;
    const lines = loss.lines.filter((line) => !hidden.has(line.method));
    const all = lines.flatMap((line) => line.points);
    svg?.remove();
    spots = [];
    leave();
    svg = make("svg", { viewBox: `0 0 ${width} ${height}`, height, role: "img", tabindex: 0,
      "aria-label": `${loss.title} over training tokens, ${lines.length} methods; arrow keys move along and between lines` });
    chart.prepend(svg);
    if (!all.length) return;
    const xs = all.map((p) => p[0]), ys = all.map((p) => p[1]);
    const most = Math.max(...xs), high = Math.max(...ys), low = Math.min(...ys);
    const room = (high - low || 1) * 0.05;
    const x = (v) => left + (v / (most || 1)) * (width - left - right);
    const y = (v) => top + ((high + room - v) / (high - low + 2 * room || 1)) * (height - top - bottom);
    for (const v of ticks(low - room, high + room, 5)) {
      svg.append(make("line", { class: "axis", x1: left, x2: width - right, y1: y(v), y2: y(v) }));
      svg.append(make("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, v));
    }
    for (const v of ticks(0, most, width < 500 ? 4 : 8))
      svg.append(make("text", { x: x(v), y: height - bottom + 18, "text-anchor": "middle" }, tokens(v)));
    svg.append(make("text", { x: (left + width) / 2, y: height - 4, "text-anchor": "middle" }, "training tokens"));
    let start = 0;
    data.tasks.forEach(([name, end], index) => {
      if (index) svg.append(make("line", { class: "axis", "stroke-dasharray": "4 3", x1: x(start), x2: x(start), y1: top, y2: height - bottom }));
      svg.append(make("text", { x: x((start + end) / 2), y: 14, "text-anchor": "middle" }, name));
      start = end;
    });
    for (const line of lines) {
      const look = data.methods[line.method];
      const path = line.points.map((p, i) => `${i ? "L" : "M"}${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join("");
      const node = ink(make("path", { class: "line", d: path, "stroke-dasharray": look.dashes }), look);
      svg.append(node);
      spots.push({ look, node, points: line.points.map((p) => ({ x: x(p[0]), y: y(p[1]), values: p })) });
    }
    svg.append(make("circle", { id: "spot", r: 4, cx: -9, cy: -9 }));
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", leave);
    svg.addEventListener("keydown", step);
    svg.addEventListener("blur", leave);
  }

  function point(event) {
    const box = svg.getBoundingClientRect();
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let best = Infinity;
    let found = null;
    spots.forEach((spot, line) => spot.points.forEach((p, index) => {
      const distance = (p.x - px) ** 2 + (p.y - py) ** 2;
      if (distance < best) { best = distance; found = [line, index]; }
    }));
    if (found) show(...found);
  }

  function step(event) {
    const moves = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (!(event.key in moves) || !spots.length) return;
    event.preventDefault();
    const [down, along] = moves[event.key];
    const line = ((near ? near[0] + down : 0) + spots.length) % spots.length;
    const last = spots[line].points.length - 1;
    show(line, Math.min(last, Math.max(0, near ? near[1] + along : 0)));
    said.textContent = tip.textContent;
  }

  function show(line, index) {
    near = [line, index];
    const { look, node, points } = spots[line];
    const p = points[index];
    const [seen, mean, half] = p.values;
    for (const spot of spots) spot.node.classList.toggle("near", spot.node === node);
    chart.classList.add("pointed");
    const dot = svg.querySelector("#spot");
    dot.setAttribute("cx", p.x);
    dot.setAttribute("cy", p.y);
    ink(dot, look);
    tip.textContent = `${look.label}: ${mean.toFixed(3)}${half === null ? "" : ` ± ${half.toFixed(3)}`} after ${tokens(seen)} tokens`;
    tip.hidden = false;
    const room = chart.clientWidth - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, p.x + 12))}px`;
    tip.style.top = `${Math.max(0, p.y - tip.offsetHeight - 10)}px`;
  }

  function leave() {
    near = null;
    tip.hidden = true;
    chart.classList.remove("pointed");
    for (const spot of spots) spot.node.classList.remove("near");
    svg?.querySelector("#spot")?.setAttribute("cx", -9);
  }

  choice.addEventListener("change", draw);
  let width = 0;
  new ResizeObserver(() => {
    if (chart.clientWidth !== width) { width = chart.clientWidth; draw(); }
  }).observe(chart);
}

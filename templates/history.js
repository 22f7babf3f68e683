// Trends of a history: a chart for each curve, with the series that were measured alike beside each other.
const known = JSON.parse(document.getElementById("history-data").textContent);

const trendScales = (parts, size) => {
  const values = parts.flatMap((part) => part.points.flatMap(([, ...numbers]) => numbers));
  const places = parts.flatMap((part) => part.points.map(([entry]) => entry));
  const pad = Math.max(0.5, (Math.max(...places) - Math.min(...places)) * 0.03);
  return {
    x: scale(Math.min(...places) - pad, Math.max(...places) + pad, LEFT + 8, size.width - RIGHT),
    y: scale(...nice(Math.min(...values), Math.max(...values), 4), size.height - BOTTOM, TOP),
  };
};

const partOf = (part, size, { x, y }) => {
  const level = (value) => (part.log ? Math.exp(value) : value);
  const bars = part.points.filter((point) => point.length > 2 && point[3] > point[2])
    .map(([entry, , low, high]) => `M${num(x(entry))},${num(y(low))}V${num(y(high))}`);
  const lines = part.levels.map(([from, to, value]) => line([[x(from) - 2, y(level(value))], [x(to) + 2, y(level(value))]]));
  const start = part.points[0][0];
  return [
    part.begins ? tag("path", { d: line([[x(start - 0.5), TOP], [x(start - 0.5), size.height - BOTTOM]]), stroke: "var(--muted)", "stroke-dasharray": "2 3" }, tag("title", {}, escapeText(part.begins))) : "",
    tag("path", { d: bars.join("") || "M0,0", stroke: "var(--muted)", "stroke-opacity": "0.45", fill: "none" }),
    tag("path", { d: lines.join(""), stroke: "var(--series-0)", "stroke-width": "2.2", fill: "none" }),
    ...part.points.map(([entry, value]) => {
      const step = part.steps.find(([after]) => after === entry);
      const bad = step && step[1] === true;
      return tag("circle", { class: "run", "data-run": entry, cx: num(x(entry)), cy: num(y(value)), r: step ? 5 : 2.6, fill: bad ? "var(--warn)" : "var(--ink)" })
        + (part.anchor === entry ? tag("circle", { cx: num(x(entry)), cy: num(y(value)), r: 6.5, fill: "none", stroke: "var(--ink)" }) : "");
    }),
  ].join("");
};

const runTicks = ({ low, high }) => ticks(Math.max(0, low), Math.min(known.runs.length - 1, high), 6).filter((v) => Number.isInteger(v));

const trendChart = (parts, size) => {
  const scales = trendScales(parts, size);
  const { x, y } = scales;
  return { scales, markup: whole(size, axes(size, x, y, [], ticks(y.low, y.high, 4), "runs, in order of their commits"),
    ...spread(x, runTicks(x).map((v) => [v, known.runs[v].commit.slice(0, 7)])).map(([v, text]) => label(x(v), size.height - BOTTOM + 17, text, { "text-anchor": "middle" })),
    ...parts.map((part) => partOf(part, size, scales))) };
};

const setUpTrend = (figure, parts) => {
  const element = $(".chart", figure);
  const [first] = parts;
  const draw = () => {
    const width = Math.max(280, Math.floor(element.clientWidth));
    const { markup } = trendChart(parts, { width, height: 210 });
    const svg = new DOMParser().parseFromString(`<svg xmlns="http://www.w3.org/2000/svg">${markup}</svg>`, "image/svg+xml");
    element.replaceChildren(document.importNode(svg.documentElement.firstChild, true));
    element.classList.add("ready");
  };
  element.addEventListener("pointermove", (event) => {
    const circles = $$(".run", element);
    const away = (circle) => Math.abs(circle.getBoundingClientRect().x - event.clientX);
    const near = circles.sort((a, b) => away(a) - away(b))[0];
    if (!near) return;
    const entry = Number(near.dataset.run);
    const run = known.runs[entry];
    const part = parts.find((candidate) => candidate.points.some((point) => point[0] === entry));
    const point = part.points.find((candidate) => candidate[0] === entry);
    const between = point.length > 2 ? ` [${point[2]} to ${point[3]}]` : "";
    showTip({ label: `${run.commit} ${run.label}`, value: `${first.kind} ${point[1]} ${first.unit}${between}`, rate: run.date, note: part.points[0][0] === entry ? part.begins : "" }, near.getBoundingClientRect());
  });
  element.addEventListener("pointerleave", () => { tip.hidden = true; });
  draw();
  new ResizeObserver(() => { if (Math.abs($("svg", element).viewBox.baseVal.width - element.clientWidth) > 2) draw(); }).observe(element);
};

const trendOf = (parts) => {
  const [first] = parts;
  const name = `${first.source} ${first.encoder} ${first.size}`;
  const broken = parts.filter((part) => part.begins).map((part) => `${known.runs[part.points[0][0]].commit}: ${part.begins}`);
  const worse = { more: ", more is worse", less: ", less is worse" }[first.worse] ?? "";
  return make("figure", { className: "card trend" }, make("figcaption", {}, name, " ", make("small", { textContent: `${first.kind}${first.unit ? `, ${first.unit}` : ""}${worse}` })),
    make("div", { className: "chart", role: "img", "aria-label": `${first.kind} of ${name} over ${parts.reduce((sum, part) => sum + part.points.length, 0)} runs` }),
    ...broken.map((text) => make("p", { className: "sub", textContent: `New series at ${text}.` })));
};

const setUpTrends = () => {
  const section = $("#trends");
  const [kind, search] = [$("#kind", section), $("input", section)];
  if ([...kind.options].some((option) => option.value === recall("figure"))) kind.value = recall("figure");
  search.value = recall("find") ?? "";
  const show = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const groups = new Map();
    for (const part of known.series.filter((candidate) => candidate.kind === kind.value)) {
      const name = `${part.source} ${part.encoder} ${part.size}`;
      if (!words.every((word) => name.toLowerCase().includes(word))) continue;
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(part);
    }
    $(".trends", section).replaceChildren(...[...groups.values()].map((parts) => {
      const figure = trendOf(parts);
      whenNear(figure, () => setUpTrend(figure, parts));
      return figure;
    }));
    $(".count", section).textContent = `${groups.size} ${groups.size === 1 ? "curve" : "curves"}`;
    remember("figure", kind.value === kind.options[0].value ? null : kind.value);
    remember("find", search.value);
  };
  kind.addEventListener("change", show);
  search.addEventListener("input", show);
  show();
};

showScripted(document);
setUpTheme();
setUpAddress();
setUpTrends();
for (const table of $$(".sortable")) setUpSorting(table, "runs.sort");
if (recall("at")) goTo(recall("at"));
document.documentElement.dataset.ready = "yes";

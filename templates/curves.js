// Quality against bitrate: two charts per title that share filters with the table of rungs.
const isShown = (rung, state) => !state.off.codec.has(rung.codec) && !state.off.size.has(rung.size) && !state.off.run.has(rung.run);

const pointRows = (title, metric, state) => Object.entries(title.rungs).flatMap(([key, rung]) => {
  const q = rung.q[metric]?.[state.pooling];
  if (q === undefined || q === null || rung.kbps === null || !isShown(rung, state)) return [];
  return [{
    key, q, kbps: rung.kbps, series: rung.series, shape: rung.shape, curve: `${rung.series} ${rung.size}`,
    label: rung.label, rate: rung.rate, note: rung.notes[metric] ?? "", hollow: rung.hollow, chosen: rung.chosen,
    value: `${title.metrics[metric].name} ${format(title.metrics[metric], q)}`,
    inverted: state.pooling === "mean" && rung.inverted.includes(metric),
  }];
});

// A codec's hull stays when a size of it is hidden: it is that of all its sizes.
const hullRows = (title, metric, state) => state.hull ? (title.hulls[metric]?.[state.pooling] ?? [])
  .filter(({ series }) => !state.off.codec.has(title.series[series].codec) && !state.off.run.has(title.series[series].run))
  .map(({ series, keys }) => ({ series, line: keys.map((key) => [title.rungs[key].kbps, title.rungs[key].q[metric][state.pooling]]) })) : [];

// What is recommended between two rungs is known for their means alone.
const plannedRows = (title, metric, state) => state.pooling !== "mean" ? [] : (title.planned[metric] ?? [])
  .filter(({ series, size }) => isShown({ ...title.series[series], size }, state));

const ceilingRows = (title, metric, state) => metric !== "model" ? [] : title.ceilings
  .filter((ceiling) => ceiling[state.pooling] !== null)
  .map((ceiling) => ({
    q: ceiling[state.pooling], side: ceiling.side, text: `${ceiling.name} ${format(title.metrics.model, ceiling[state.pooling])}`,
  }));

const rateData = (title, metric, state) => ({
  names: title.series.map((series) => series.text), points: pointRows(title, metric, state),
  hulls: hullRows(title, metric, state), ceiling: ceilingRows(title, metric, state),
  planned: plannedRows(title, metric, state),
});

const swatchMarkup = (series) => tag("path", {
  d: "M1,7H31", stroke: colour(series), "stroke-width": "2.5", "stroke-dasharray": dash(series) || null,
});
const markMarkup = (size) => tag("path", { d: SHAPES[size % SHAPES.length], fill: "var(--muted)", transform: "translate(7,7)" });
const rateLegend = (title, state) => [
  ...title.series.map((series, i) => ({ markup: swatchMarkup(i), indent: 38, text: series.text, hidden: state.off.codec.has(series.codec) || state.off.run.has(series.run) })),
  ...title.sizes.map((size, i) => ({ markup: markMarkup(i), indent: 20, text: size, hidden: state.off.size.has(size) })),
].filter((item) => !item.hidden);

const setUpPanel = (title, panel, state, number) => {
  const select = $("select", panel);
  const element = $(".chart", panel);
  const name = `${title.key}.m${number}`;
  const first = select.value;
  if (recall(name) in title.metrics) select.value = recall(name);
  const metric = () => title.metrics[select.value];
  const chart = {
    element, both: true,
    height: (width) => Math.round(Math.max(240, Math.min(360, width * 0.59))),
    draw: (size, zoom) => {
      const shown = rateData(title, select.value, state);
      const scales = rateScales(shown, size, title.range, zoom);
      return { markup: rateChart(shown, size, scales), scales, rows: shown.points };
    },
    title: () => `${title.name} ${metric().name}${metric().unit ? `, ${metric().unit}` : ""}`,
    legend: () => rateLegend(title, state),
    pick: (key, against) => state.choose(key, against),
    show: (key, against) => state.show(key, against),
  };
  const update = () => {
    chart.redraw?.();
    element.setAttribute("aria-label", `${metric().name} against bitrate of ${title.name}; arrow keys move between rungs`);
  };
  whenNear(panel, () => { livePlot(chart); update(); });
  select.addEventListener("change", () => {
    remember(name, select.value === first ? null : select.value);
    chart.zoomTo?.(null);
    update();
  });
  return update;
};

const KINDS = ["codec", "size", "run"];

const setUpCurves = (title, root) => {
  const state = {
    pooling: recall(`${title.key}.stat`) ?? "mean", hull: recall(`${title.key}.hull`) !== "off",
    off: { codec: new Set(), size: new Set(), run: new Set() }, choose: () => {}, show: () => {}, watchers: [],
  };
  for (const item of JSON.parse(recall(`${title.key}.off`) ?? "[]")) state.off[item[0]]?.add(item[1]);
  const pooling = $(".pooling", root);
  if (pooling) {
    pooling.value = state.pooling;
    if (pooling.value !== state.pooling) state.pooling = pooling.value = "mean";
  }
  state.watchers.push(...$$(".panel", root).map((panel, number) => setUpPanel(title, panel, state, number)));
  const changed = () => {
    const off = KINDS.flatMap((kind) => [...state.off[kind]].map((value) => [kind, value]));
    remember(`${title.key}.off`, off.length ? JSON.stringify(off) : null);
    remember(`${title.key}.hull`, state.hull ? null : "off");
    remember(`${title.key}.stat`, state.pooling === "mean" ? null : state.pooling);
    for (const watch of state.watchers) watch();
  };
  for (const chip of $$(".chip", root)) {
    const kind = KINDS.find((name) => name in chip.dataset);
    chip.setAttribute("aria-pressed", String(kind ? !state.off[kind].has(chip.dataset[kind]) : state.hull));
    chip.addEventListener("click", () => {
      const on = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(on));
      if (kind) state.off[kind][on ? "delete" : "add"](chip.dataset[kind]); else state.hull = on;
      changed();
    });
  }
  pooling?.addEventListener("change", () => { state.pooling = pooling.value; changed(); });
  return state;
};

const bdTable = (table) => make("table", { className: "matrix" }, make("caption", { textContent: table.caption }),
  make("thead", {}, make("tr", {}, make("th", { scope: "col", textContent: "against ↓" }),
    ...table.names.map((name) => make("th", { scope: "col", className: "n", textContent: name })))),
  make("tbody", {}, ...table.rows.map((row, i) => make("tr", {}, make("th", { scope: "row", textContent: table.names[i] }),
    ...row.map((cell) => make("td", { className: `n ${cell.tone}` }, cell.text,
      ...cell.small.map((text) => make("small", { textContent: text })),
      ...cell.notes.map((text) => make("small", { className: "warn", textContent: text }))))))));

const setUpBd = (title, root) => {
  const section = $(".bd", root);
  if (!section || !$(".bd-metric", section)) return; // one curve, or no BD-rate to choose from
  const selects = $$("select", section);
  const names = [`${title.key}.bdm`, `${title.key}.bdb`];
  const firsts = selects.map((select) => select.value);
  selects.forEach((select, i) => {
    if ([...select.options].some((option) => option.value === recall(names[i]))) select.value = recall(names[i]);
  });
  const update = () => {
    const table = title.bd.find(({ metric, basis }) => metric === selects[0].value && basis === selects[1].value);
    $(".scroll", section).hidden = !table;
    $(".bd-none", section).hidden = Boolean(table);
    if (table) $(".scroll", section).replaceChildren(bdTable(table));
  };
  selects.forEach((select, i) => select.addEventListener("change", () => {
    remember(names[i], select.value === firsts[i] ? null : select.value);
    update();
  }));
  update();
};

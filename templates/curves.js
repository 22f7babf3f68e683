// Quality against bitrate: two charts per title that share filters with the table of rungs.
const pointRows = (title, metric, state) => {
  const rows = [];
  for (const [key, rung] of Object.entries(title.rungs)) {
    const q = rung.q[metric]?.[state.pooling];
    if (q === undefined || q === null || rung.kbps === null || !isShown(rung, state)) continue;
    rows.push({
      key, q, kbps: rung.kbps, codec: rung.codec, size: rung.size, run: rung.run,
      series: `${rung.run} ${rung.codec} ${rung.size}`,
      label: rung.label, rate: rung.rate, note: rung.note,
      value: `${title.metrics[metric].name} ${format(title.metrics[metric], q)}`,
      chosen: rung.chosen,
      inverted: state.pooling === "mean" && rung.inverted.includes(metric),
    });
  }
  return rows;
};

const isShown = (rung, state) =>
  !state.off.codec.has(rung.codec) && !state.off.size.has(rung.size) && !state.off.run.has(rung.run);

// The hull is that of all rungs at the overall statistic; under a filter or another statistic it would be untrue.
const hullRows = (title, metric, state, rows) => {
  if (!state.hull || state.pooling !== "mean") return [];
  const byKey = new Map(rows.map((row) => [row.key, row]));
  const keys = title.hulls[metric] ?? [];
  return keys.every((key) => byKey.has(key)) ? keys.map((key) => byKey.get(key)) : [];
};

const ceilingRows = (title, metric, state) => {
  if (metric !== "model") return [];
  return title.ceilings
    .filter((ceiling) => ceiling[state.pooling] !== null)
    .map((ceiling) => ({
      q: ceiling[state.pooling], side: ceiling.side, text: `${ceiling.name} ${format(title.metrics.model, ceiling[state.pooling])}`,
    }));
};

const panelData = (title, metric, state) => {
  const points = pointRows(title, metric, state);
  return { points, hull: hullRows(title, metric, state, points), ceiling: ceilingRows(title, metric, state) };
};

const setUpPanel = (title, panel, state) => {
  const select = $("select", panel);
  const chart = $(".chart", panel);
  let view = null;
  const update = () => {
    if (!view) return;
    for (const [name, rows] of Object.entries(panelData(title, select.value, state))) view.data(name, rows);
    view.runAsync();
    chart.setAttribute("aria-label", `${title.metrics[select.value].name} against bitrate of ${title.name}; the values are in the table of rungs`);
  };
  whenNear(panel, async () => {
    const spec = { ...specs.rate[title.key], datasets: panelData(title, select.value, state) };
    view = await drawChart(chart, spec);
    view.addEventListener("click", (event, item) => {
      const row = rowOf(item);
      if (row?.key) state.choose(row.key, event.shiftKey);
    });
    update(); // a filter may have changed while it was drawn
  });
  select.addEventListener("change", update);
  return update;
};

const setUpCurves = (title, root) => {
  const state = { pooling: "mean", hull: true, off: { codec: new Set(), size: new Set(), run: new Set() }, choose: () => {}, watchers: [] };
  state.watchers.push(...$$(".panel", root).map((panel) => setUpPanel(title, panel, state)));
  const changed = () => state.watchers.forEach((watch) => watch());
  for (const chip of $$(".chip", root)) {
    chip.addEventListener("click", () => {
      const on = chip.getAttribute("aria-pressed") !== "true";
      chip.setAttribute("aria-pressed", String(on));
      if (chip.dataset.layer) state.hull = on;
      for (const kind of ["codec", "size", "run"]) {
        if (kind in chip.dataset) state.off[kind][on ? "delete" : "add"](chip.dataset[kind]);
      }
      changed();
    });
  }
  $(".pooling", root)?.addEventListener("change", (event) => { state.pooling = event.target.value; changed(); });
  return state;
};

const setUpBd = (root) => {
  const section = $(".bd", root);
  if (!section || !$(".bd-metric", section)) return; // one curve, or no BD-rate to choose from
  const update = () => {
    const metric = $(".bd-metric", section).value;
    const basis = $(".bd-basis", section).value;
    for (const table of $$("[data-basis]", section)) {
      table.hidden = table.dataset.metric !== metric || table.dataset.basis !== basis;
    }
    $(".bd-none", section).hidden = $$("[data-basis]", section).some((table) => !table.hidden);
  };
  for (const select of $$("select", section)) select.addEventListener("change", update);
  update();
};

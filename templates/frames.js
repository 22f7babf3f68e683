// Quality over time of one rung, of another against it, and of the source.
const traceRows = (title, trace, who) =>
  trace ? trace.y.map((q, i) => ({ t: (trace.x ? trace.x[i] : i) / title.fps, q, who })) : [];

// Value at a frame, or at the nearest one that is kept.
const valueAt = (trace, frame) => {
  if (!trace) return null;
  if (!trace.x) return trace.y[Math.min(frame, trace.y.length - 1)];
  let low = 0;
  let high = trace.x.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (trace.x[middle] <= frame) low = middle; else high = middle;
  }
  return frame - trace.x[low] <= trace.x[high] - frame ? trace.y[low] : trace.y[high];
};

const setUpFrames = (title, root) => {
  const section = $(".frames", root);
  if (!section) return () => {};
  const [pickA, pickB, pickMetric] = [".pick-a", ".pick-b", ".pick-metric"].map((name) => $(name, section));
  const slider = $("input[type=range]", section);
  const chart = $(".chart", section);
  let view = null;

  const traces = () => {
    const metric = pickMetric.value;
    const run = title.rungs[pickA.value]?.run;
    return {
      a: title.traces[pickA.value]?.[metric],
      b: title.traces[pickB.value]?.[metric],
      source: metric === "model" ? title.sources[run]?.model : undefined,
    };
  };
  const rows = () => Object.entries(traces()).flatMap(([who, trace]) => traceRows(title, trace, who));

  const readOut = () => {
    const frame = Number(slider.value);
    const metric = title.metrics[pickMetric.value];
    const { a, b, source } = traces();
    const [qa, qb, qs] = [a, b, source].map((trace) => valueAt(trace, frame));
    const parts = [`frame ${frame} · ${(frame / title.fps).toFixed(2)} s`];
    const output = $("output", section);
    output.textContent = parts[0];
    const add = (name, text) => {
      const part = document.createElement("b");
      if (name) { const mark = document.createElement("i"); mark.className = name; part.append(mark); }
      part.append(text);
      output.append(part);
    };
    if (qa !== null) add("swatch-a", format(metric, qa));
    if (qb !== null) add("swatch-b", format(metric, qb));
    if (qa !== null && qb !== null) add("", `difference ${format(metric, qa - qb, true)}`);
    if (qs !== null) add("", `source ${format(metric, qs)}`);
    if (view) view.data("cursor", [{ t: frame / title.fps }]).runAsync();
  };

  const showWorst = () => {
    const box = $(".worst", section);
    box.replaceChildren("worst frame");
    for (const [who, trace] of Object.entries(traces())) {
      if (!trace || who === "source") continue;
      const at = trace.y.indexOf(Math.min(...trace.y));
      const frame = trace.x ? trace.x[at] : at;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "quiet";
      const mark = document.createElement("i");
      mark.className = `swatch-${who}`;
      button.append(mark, `${format(title.metrics[pickMetric.value], trace.y[at])} at ${(frame / title.fps).toFixed(2)} s`);
      button.addEventListener("click", () => { slider.value = frame; readOut(); });
      box.append(button);
    }
  };

  const describe = () => {
    const names = [pickA, pickB].filter((pick) => pick.value).map((pick) => title.rungs[pick.value].label);
    chart.setAttribute("aria-label", `${title.metrics[pickMetric.value].name} over time of ${names.join(" and ")}`);
  };
  const update = () => {
    const shown = Object.values(traces()).filter(Boolean);
    $(".thinned", section).hidden = !shown.some((trace) => trace.thinned);
    $(".coarse", section).hidden = !shown.some((trace) => trace.coarse);
    showWorst();
    readOut();
    describe();
    if (view) view.data("frames", rows()).runAsync();
  };

  const moveTo = (event) => {
    const left = $("svg", chart).getBoundingClientRect().left + view.origin()[0];
    const seconds = view.scale("x").invert(event.clientX - left);
    slider.value = Math.round(seconds * title.fps);
    readOut();
  };
  whenNear(section, async () => {
    const spec = { ...specs.frames, height: Math.min(260, 160 + innerWidth / 12), datasets: { frames: rows(), cursor: [] } };
    view = await drawChart(chart, spec);
    chart.addEventListener("pointermove", moveTo);
    update();
  });
  slider.addEventListener("input", readOut);
  for (const pick of [pickA, pickB, pickMetric]) pick.addEventListener("change", update);
  update();
  return (key, against) => { (against ? pickB : pickA).value = key; update(); };
};

// Quality over time of one rung, of another against it, and of the source.
const placesOf = (title, trace) => trace ? trace.y.map((q, i) => [(trace.x ? trace.x[i] : i) / title.fps, q]) : [];

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

// The page comes with the chosen options alone: forty-eight times two for each source would be most of its elements.
const fillPicks = (title, picks) => {
  const rungs = Object.entries(title.rungs).filter(([key]) => title.traces[key]);
  for (const pick of picks) {
    const chosen = pick.value;
    for (const option of [...pick.options]) if (option.value) option.remove();
    pick.append(...rungs.map(([key, rung]) => make("option", { value: key, textContent: `${rung.label} · ${rung.rate}` })));
    pick.value = chosen;
  }
};

const setUpFrames = (title, root) => {
  const section = $(".frames", root);
  if (!section) return () => {};
  const [pickA, pickB, pickMetric] = [".pick-a", ".pick-b", ".pick-metric"].map((name) => $(name, section));
  const slider = $("input[type=range]", section);
  const element = $(".chart", section);
  const names = [[pickA, `${title.key}.a`], [pickB, `${title.key}.b`], [pickMetric, `${title.key}.fm`]];
  fillPicks(title, [pickA, pickB]);
  const firsts = names.map(([pick]) => pick.value);
  for (const [pick, name] of names) {
    const kept = recall(name) === "none" ? "" : recall(name);
    if (kept !== null && [...pick.options].some((option) => option.value === kept)) pick.value = kept;
  }

  const traces = () => {
    const metric = pickMetric.value;
    return {
      a: title.traces[pickA.value]?.[metric],
      b: title.traces[pickB.value]?.[metric],
      source: metric === "model" ? title.sources[title.rungs[pickA.value]?.run]?.model : undefined,
    };
  };
  const chart = {
    element, both: false,
    height: (width) => Math.round(Math.max(190, Math.min(260, width * 0.3))),
    draw: (size, zoom) => {
      const rows = Object.entries(traces()).map(([who, trace]) => [who, placesOf(title, trace)]);
      const scales = frameScales(rows, size, title.frames / title.fps, zoom);
      return { markup: frameChart(rows, size, scales), scales, rows: [] };
    },
    drawn: (width) => {
      drawBits(title, $(".bits", section), [pickA.value, pickB.value], width, chart.scales.x);
      pictures?.follow(chart.scales, width);
    },
    title: () => `${title.name} ${title.metrics[pickMetric.value].name} over time`,
    legend: () => [[pickA, "var(--ink)"], [pickB, "var(--rival)"]].filter(([pick]) => pick.value).map(([pick, ink]) => ({
      markup: tag("path", { d: "M1,7H31", stroke: ink, "stroke-width": "2.5" }), indent: 38, text: title.rungs[pick.value].label,
    })),
    hover: (seconds) => { slider.value = Math.round(seconds * title.fps); readOut(); },
    zoomed: () => readOut(),
  };
  const seek = (frame) => { slider.value = frame; readOut(); };
  let pictures = null;

  const readOut = () => {
    const frame = Number(slider.value);
    const metric = title.metrics[pickMetric.value];
    const { a, b, source } = traces();
    const [qa, qb, qs] = [a, b, source].map((trace) => valueAt(trace, frame));
    const output = $("output", section);
    output.textContent = `frame ${frame} · ${(frame / title.fps).toFixed(2)} s`;
    const add = (name, text) => output.append(make("b", {}, ...(name ? [make("i", { className: name })] : []), text));
    if (qa !== null) add("swatch-a", format(metric, qa));
    if (qb !== null) add("swatch-b", format(metric, qb));
    if (qa !== null && qb !== null) add("", `difference ${format(metric, qa - qb, true)}`);
    if (qs !== null) add("", `source ${format(metric, qs)}`);
    const bits = [pickA, pickB].map((pick) => bitsOf(title.stills?.bits[pick.value], frame)).filter(Boolean);
    for (const text of bits) add("", text);
    pictures?.show(frame);
    remember(`${title.key}.frame`, frame === title.start ? null : String(frame));
    drawCursor(frame / title.fps);
  };

  const drawCursor = (seconds) => {
    const svg = $("svg.plot", element);
    if (!svg || !chart.scales) return;
    const { x, y } = chart.scales;
    const path = $(".at", svg) ?? svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
    path.setAttribute("class", "at");
    path.setAttribute("d", seconds < x.low || seconds > x.high ? "" : line([[x(seconds), y.start], [x(seconds), y.end]]));
    path.setAttribute("stroke", "var(--muted)");
  };

  const showWorst = () => {
    const box = $(".worst", section);
    box.replaceChildren("worst frame");
    for (const [who, trace] of Object.entries(traces())) {
      if (!trace || who === "source") continue;
      const at = trace.y.indexOf((title.metrics[pickMetric.value].lower ? Math.max : Math.min)(...trace.y));
      const frame = trace.x ? trace.x[at] : at;
      const button = make("button", { type: "button", className: "quiet" }, make("i", { className: `swatch-${who}` }),
        `${format(title.metrics[pickMetric.value], trace.y[at])} at ${(frame / title.fps).toFixed(2)} s`);
      button.addEventListener("click", () => seek(frame));
      box.append(button);
    }
  };

  const update = () => {
    const shown = Object.values(traces()).filter(Boolean);
    $(".thinned", section).hidden = !shown.some((trace) => trace.thinned);
    $(".coarse", section).hidden = !shown.some((trace) => trace.coarse);
    const rungs = [pickA, pickB].filter((pick) => pick.value).map((pick) => title.rungs[pick.value].label);
    element.setAttribute("aria-label", `${title.metrics[pickMetric.value].name} over time of ${rungs.join(" and ")}`);
    // What paper says in the place of the selects.
    $("p.static", section).replaceChildren(...[["swatch-a", pickA], ["swatch-b", pickB]].filter(([, pick]) => pick.value).flatMap(
      ([name, pick]) => [make("i", { className: name }), `${title.rungs[pick.value].label} `]), `· ${title.metrics[pickMetric.value].name}`);
    showWorst();
    chart.redraw?.();
    readOut();
  };

  if (recall(`${title.key}.frame`)) slider.value = recall(`${title.key}.frame`);
  whenNear(section, () => {
    pictures = setUpPictures(title, section, { picks: [pickA, pickB], seek });
    livePlot(chart);
    update();
  });
  slider.addEventListener("input", readOut);
  names.forEach(([pick, name], i) => pick.addEventListener("change", () => {
    remember(name, pick.value === firsts[i] ? null : pick.value || "none");
    update();
  }));
  update();
  return (key, against) => {
    const pick = against ? pickB : pickA;
    pick.value = key;
    pick.dispatchEvent(new Event("change"));
  };
};

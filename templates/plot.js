// A chart that lives: drawn at the width that there is, zoomed, read by pointer and keyboard, and saved.
const NEAR_PX = 40;
const DRAG_PX = 6;

const tip = make("div", { id: "tip", hidden: true, role: "tooltip" });
document.body.append(tip);
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

const showTip = (row, box) => {
  tip.replaceChildren(make("b", { textContent: row.label }), ...[row.value, row.rate, row.note].filter(Boolean)
    .map((text) => make("div", { textContent: text })));
  tip.hidden = false;
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${y + tip.offsetHeight + 20 > innerHeight ? y - tip.offsetHeight - 12 : y + 14}px`;
};

// From a place on the chart to the values there.
const valueOf = (scale, place) => {
  const share = (place - scale.start) / (scale.end - scale.start);
  const [from, to] = [scale.transform(scale.low), scale.transform(scale.high)];
  const value = from + share * (to - from);
  return scale.transform === Math.log ? Math.exp(value) : value;
};

const zoomedAbout = (scale, place, factor) => {
  const from = scale.start + (place - scale.start) * (1 - factor);
  return [valueOf(scale, from), valueOf(scale, from + (scale.end - scale.start) * factor)];
};

const saveAs = (blob, name) => {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

// A chart as a file: colours resolved, and below it what the lines and shapes stand for.
const standalone = (svg, title, legend) => {
  const style = getComputedStyle(document.documentElement);
  const [width, height] = [svg.viewBox.baseVal.width, svg.viewBox.baseVal.height];
  let [x, y] = [LEFT, 0];
  const items = legend.map(({ markup, indent, text }) => {
    const wide = indent + text.length * 6.1 + 18;
    if (x > LEFT && x + wide > width) { x = LEFT; y += 20; }
    const item = tag("g", { transform: `translate(${x},${height + 30 + y})` }, markup, label(indent, 11, text, { fill: "var(--ink)" }));
    x += wide;
    return item;
  });
  const full = height + 58 + y;
  const text = tag("svg", {
    xmlns: "http://www.w3.org/2000/svg", width, height: full, viewBox: `0 0 ${width} ${full}`, "font-family": "system-ui, sans-serif",
  },
  tag("rect", { width: "100%", height: "100%", fill: "var(--card)" }),
  label(LEFT, 17, title, { fill: "var(--ink)", "font-weight": "bold" }),
  tag("g", { transform: "translate(0,24)" }, new XMLSerializer().serializeToString(svg)), ...items);
  return text.replace(/var\((--[a-z0-9-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
};

const asPng = async (text, width, height) => {
  const image = new Image();
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  await new Promise((done, failed) => { image.onload = done; image.onerror = failed; image.src = url; });
  URL.revokeObjectURL(url);
  const canvas = make("canvas", { width: width * 2, height: height * 2 });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => { canvas.toBlob(done, "image/png"); });
};

const save = async (chart, kind) => {
  const svg = $("svg.plot", chart.element);
  const text = standalone(svg, chart.title(), chart.legend());
  const name = chart.title().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "");
  if (kind === "svg") return saveAs(new Blob([text], { type: "image/svg+xml" }), `${name}.svg`);
  const [width, height] = text.match(/viewBox="0 0 (\S+) (\S+)"/).slice(1).map(Number);
  return saveAs(await asPng(text, width, height), `${name}.png`);
};

const toolbar = (chart) => {
  const button = (text, name, work) => {
    const found = make("button", { type: "button", className: "quiet", textContent: text, "aria-label": name, title: name });
    found.addEventListener("click", work);
    return found;
  };
  return make("div", { className: "tools", role: "group", "aria-label": "This chart" },
    button("+", "Zoom in", () => zoomBy(chart, 0.5)), button("\u2212", "Zoom out", () => zoomBy(chart, 2)),
    button("Reset", "Reset the zoom", () => chart.zoomTo(null)),
    button("SVG", "Save as SVG", () => save(chart, "svg")), button("PNG", "Save as PNG", () => save(chart, "png")));
};

// Neighbours of a point for the arrow keys: along its curve, and on the next curve at the nearest rate.
const neighbour = (rows, row, key) => {
  const along = rows.filter((other) => other.curve === row.curve).sort((a, b) => a.kbps - b.kbps);
  const curves = [...new Set(rows.map((other) => other.curve))];
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[key];
  if (key === "Home") return along[0];
  if (key === "End") return along[along.length - 1];
  if (key === "ArrowLeft" || key === "ArrowRight") return along[along.indexOf(row) + step];
  const curve = curves[(curves.indexOf(row.curve) + step + curves.length) % curves.length];
  const away = (other) => Math.abs(Math.log(other.kbps / row.kbps));
  return rows.filter((other) => other.curve === curve).sort((a, b) => away(a) - away(b))[0];
};

const rowOf = (chart, key) => chart.rows.find((row) => row.key === key);
const pointFor = (chart, key) => $$(".pt", chart.element).find((point) => point.dataset.key === key);

const redraw = (chart) => {
  const { element } = chart;
  const width = Math.max(280, Math.floor(element.clientWidth));
  const drawn = chart.draw({ width, height: chart.height(width) }, chart.zoom);
  Object.assign(chart, { scales: drawn.scales, rows: drawn.rows });
  const had = element.contains(document.activeElement) && document.activeElement.classList.contains("pt");
  const markup = new DOMParser().parseFromString(`<svg xmlns="http://www.w3.org/2000/svg">${drawn.markup}</svg>`, "image/svg+xml");
  element.replaceChildren(document.importNode(markup.documentElement.firstChild, true));
  element.classList.add("ready");
  chart.drawn?.(width);
  if (!rowOf(chart, chart.focused)) chart.focused = chart.rows[0]?.key;
  for (const point of $$(".pt", element)) {
    point.setAttribute("role", "button");
    point.setAttribute("tabindex", point.dataset.key === chart.focused ? "0" : "-1");
  }
  if (had) pointFor(chart, chart.focused)?.focus();
};

// In by a factor below one, about the point that has the focus.
const zoomBy = (chart, factor) => {
  const { x, y } = chart.scales;
  const row = chart.both && rowOf(chart, chart.focused);
  const [left, top] = row ? [x(row.kbps), y(row.q)] : [(x.start + x.end) / 2, (y.start + y.end) / 2];
  chart.zoomTo({ x: zoomedAbout(x, left, factor), y: zoomedAbout(y, top, chart.both ? factor : 1) });
};

const placeIn = (chart, event) => {
  const box = $("svg.plot", chart.element).getBoundingClientRect();
  return [event.clientX - box.x, event.clientY - box.y];
};

const nearest = (chart, event) => {
  const far = (point) => {
    const box = point.getBoundingClientRect();
    return Math.hypot(event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2);
  };
  const points = $$(".pt", chart.element).sort((a, b) => far(a) - far(b));
  return points.length && far(points[0]) <= NEAR_PX ? points[0] : null;
};

const pointTo = (chart, found) => {
  for (const other of $$(".pt.near", chart.element)) other.classList.remove("near");
  found?.classList.add("near");
  if (found) showTip(rowOf(chart, found.dataset.key), found.getBoundingClientRect()); else tip.hidden = true;
};

const setUpPointing = (chart) => {
  const { element } = chart;
  element.addEventListener("pointermove", (event) => {
    if (chart.brushing) return;
    if (chart.both) pointTo(chart, nearest(chart, event)); else chart.hover?.(valueOf(chart.scales.x, placeIn(chart, event)[0]));
  });
  element.addEventListener("pointerleave", () => pointTo(chart, null));
  element.addEventListener("click", (event) => {
    const found = chart.both && !chart.dragged && nearest(chart, event);
    chart.dragged = false;
    if (found) chart.show(found.dataset.key, event.shiftKey);
  });
  element.addEventListener("focusin", (event) => { if (event.target.matches(".pt:focus-visible")) pointTo(chart, event.target); });
  element.addEventListener("focusout", () => pointTo(chart, null));
};

// The rectangle between two places; over time, all of its height.
const between = (chart, from, to) => {
  const whole = [0, $("svg.plot", chart.element).clientHeight - BOTTOM];
  const [top, bottom] = chart.both ? [Math.min(from[1], to[1]), Math.max(from[1], to[1])] : whole;
  return { left: Math.min(from[0], to[0]), right: Math.max(from[0], to[0]), top, bottom };
};

const zoomInto = (chart, { left, right, top, bottom }) => {
  const { x, y } = chart.scales;
  if (right - left < DRAG_PX) return;
  chart.zoomTo({ x: [valueOf(x, left), valueOf(x, right)], y: chart.both ? [valueOf(y, bottom), valueOf(y, top)] : [y.low, y.high] });
};

const setUpBrush = (chart) => {
  const { element } = chart;
  const box = make("div", { className: "brush", hidden: true });
  element.parentElement.append(box);
  let start = null;
  element.addEventListener("pointerdown", (event) => {
    chart.dragged = false;
    if (event.pointerType !== "touch" && event.button === 0) start = placeIn(chart, event);
  });
  addEventListener("pointermove", (event) => {
    if (!start) return;
    const here = placeIn(chart, event);
    if (!chart.brushing && Math.hypot(here[0] - start[0], here[1] - start[1]) < DRAG_PX) return;
    const { left, right, top, bottom } = between(chart, start, here);
    pointTo(chart, null);
    Object.assign(box.style, {
      left: `${element.offsetLeft + left}px`, top: `${element.offsetTop + top}px`, width: `${right - left}px`, height: `${bottom - top}px`,
    });
    box.hidden = !(chart.brushing = true);
  });
  addEventListener("pointerup", (event) => {
    if (chart.brushing) {
      chart.dragged = true;
      zoomInto(chart, between(chart, start, placeIn(chart, event)));
    }
    start = null;
    box.hidden = !(chart.brushing = false);
  });
  element.addEventListener("dblclick", () => chart.zoomTo(null));
};

const setUpKeys = (chart) => chart.element.addEventListener("keydown", (event) => {
  const row = rowOf(chart, event.target.dataset?.key);
  if (event.ctrlKey || event.metaKey || event.altKey || !row) return;
  const zooms = { "+": 0.5, "=": 0.5, "-": 2 };
  if (event.key in zooms) zoomBy(chart, zooms[event.key]);
  else if (event.key === "0") chart.zoomTo(null);
  else if (event.key === "Enter" || event.key === " ") chart.pick(row.key, event.shiftKey);
  else if (/^(Arrow|Home$|End$)/.test(event.key)) {
    const next = neighbour(chart.rows, row, event.key);
    if (next) {
      event.target.setAttribute("tabindex", "-1");
      chart.focused = next.key;
      pointFor(chart, next.key).setAttribute("tabindex", "0");
      pointFor(chart, next.key).focus();
    }
  } else return;
  event.preventDefault();
});

// A chart is { element, draw(size, zoom) -> { markup, scales, rows }, height(width), title(), legend(), pick(key, against), show(key, against) } and
// ``both``: whether it has points and zooms in both directions.
const livePlot = (chart) => {
  const { element } = chart;
  Object.assign(chart, { zoom: null, rows: [], focused: null, brushing: false, dragged: false });
  chart.redraw = () => redraw(chart);
  chart.zoomTo = (zoom) => { chart.zoom = zoom; chart.redraw(); chart.zoomed?.(); };
  setUpPointing(chart);
  setUpBrush(chart);
  setUpKeys(chart);
  chart.redraw();
  element.parentElement.append(toolbar(chart));
  const outgrown = () => Math.abs($("svg.plot", element).viewBox.baseVal.width - element.clientWidth) > 2;
  new ResizeObserver(() => { if (outgrown()) chart.zoomTo(chart.zoom); }).observe(element);
};

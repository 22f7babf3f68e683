// The charts as SVG text. vqa_cli/report/charts.py draws the same for readers without scripts; a test holds both together.
const LEFT = 48, RIGHT = 14, TOP = 12, BOTTOM = 40, TEXT = 11;
const MARGIN_STEPS = [[7.0710678, 10], [3.1622777, 5], [1.4142136, 2]];
const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };

const escapeText = (text) => String(text).replace(/[&<>"']/g, (char) => ESCAPES[char]);
const num = (value) => { const text = value.toFixed(1).replace(/\.0$/, ""); return text === "-0" ? "0" : text; };

const tag = (name, attributes, ...children) => {
  const given = Object.entries(attributes)
    .filter(([, value]) => value !== null)
    .map(([key, value]) => ` ${key}="${escapeText(value)}"`).join("");
  return children.length ? `<${name}${given}>${children.join("")}</${name}>` : `<${name}${given}/>`;
};

const tickStep = (low, high, count) => {
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const found = MARGIN_STEPS.find(([limit]) => raw / power >= limit);
  return power * (found ? found[1] : 1);
};

const ticks = (low, high, count) => {
  const step = tickStep(low, high, count);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i += 1) found.push(i * step);
  return found;
};

const nice = (low, high, count) => {
  if (!(low < high)) {
    const margin = Math.abs(low) * 0.01 || 1;
    [low, high] = [low - margin, high + margin];
  }
  const step = tickStep(low, high, count);
  return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
};

const rateTicks = (low, high) => {
  if (high / low < 4) return ticks(low, high, 4);
  const steps = high / low < 1000 ? [1, 2, 5] : [1];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const step of steps) {
      const value = step * 10 ** power;
      if (low <= value && value <= high) found.push(value);
    }
  }
  return found;
};

const tickText = (value, step) => {
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const [whole, part] = Math.abs(value).toFixed(decimals).split(".");
  const spaced = whole.replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return (value < 0 ? MINUS : "") + spaced + (part ? `.${part}` : "");
};

const scale = (low, high, start, end, transform = (value) => value) => {
  const [from, to] = [transform(low), transform(high)];
  const place = (value) => start + (transform(value) - from) / (to - from) * (end - start);
  return Object.assign(place, { low, high, start, end, transform });
};

const colour = (series) => `var(--series-${series % 8})`;
const dash = (series) => DASHES[(series + Math.floor(series / DASHES.length)) % DASHES.length];
const line = (places) => "M" + places.map(([x, y]) => `${num(x)},${num(y)}`).join("L");
const label = (x, y, words, attributes = {}) =>
  tag("text", { x: num(x), y: num(y), "font-size": TEXT, fill: "var(--muted)", ...attributes }, escapeText(words));

const withTexts = (values) => {
  const step = Math.min(1e9, ...values.slice(1).map((value, i) => value - values[i]));
  return values.map((value) => [value, tickText(value, values.length > 1 ? step : 1)]);
};

const spread = (x, texts) => {
  let end = -Infinity;
  return texts.filter(([value, text]) => {
    const half = text.length * TEXT * 0.3;
    if (x(value) - half <= end) return false;
    end = x(value) + half + 5;
    return true;
  });
};

const axes = (size, x, y, xTicks, yTicks, title) => {
  const [bottom, right] = [size.height - BOTTOM, size.width - RIGHT];
  const look = { stroke: "var(--line)", fill: "none" };
  return tag("g", { class: "axes", "aria-hidden": "true" },
    ...yTicks.map((v) => tag("path", { d: line([[LEFT, y(v)], [right, y(v)]]), ...look })),
    ...xTicks.map((v) => tag("path", { d: line([[x(v), TOP], [x(v), bottom + 4]]), ...look })),
    ...withTexts(yTicks).map(([v, text]) => label(LEFT - 7, y(v) + 4, text, { "text-anchor": "end" })),
    ...spread(x, withTexts(xTicks)).map(([v, text]) => label(x(v), bottom + 17, text, { "text-anchor": "middle" })),
    label((LEFT + right) / 2, size.height - 5, title, { "text-anchor": "middle" }));
};

const plot = (size, ...content) =>
  tag("svg", { x: 0, y: 0, width: size.width, height: size.height - BOTTOM + 10, overflow: "hidden" }, ...content);
const whole = (size, ...content) =>
  tag("svg", { viewBox: `0 0 ${size.width} ${size.height}`, width: size.width, height: size.height, class: "plot" }, ...content);

const placed = (x, y) => ({ transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`, fill: "none", "stroke-width": "1.5", "aria-hidden": "true" });
const ringOf = (x, y, dashes = null) => tag("circle", { r: 8.5, stroke: "var(--ink)", "stroke-dasharray": dashes, ...placed(x, y) });
const ringsOf = (row, x, y) => (row.chosen ? ringOf(x, y) : "")
  + (row.inverted ? tag("path", { d: "M0,-11L11,0L0,11L-11,0Z", stroke: "var(--warn)", ...placed(x, y) }) : "");

const pointOf = (row, x, y, ink) => {
  const [fill, edge] = row.hollow ? ["var(--card)", ink] : [ink, "var(--card)"];
  return tag("path", {
    class: "pt", "data-key": row.key, role: "img", "aria-label": [row.label, row.rate, row.value, row.note].filter(Boolean).join(", "),
    d: SHAPES[row.shape % SHAPES.length], fill, stroke: edge, "stroke-width": row.hollow ? "1.8" : "1",
    transform: `translate(${x.toFixed(1)},${y.toFixed(1)})`,
  });
};

const seriesOf = (name, number, data, x, y) => {
  const rows = data.points.filter((row) => row.series === number);
  if (!rows.length) return "";
  const curves = new Map();
  for (const row of rows) {
    if (!curves.has(row.curve)) curves.set(row.curve, []);
    curves.get(row.curve).push([x(row.kbps), y(row.q)]);
  }
  const look = { fill: "none", stroke: colour(number), "stroke-width": "1.8", "stroke-dasharray": dash(number) || null };
  const lines = [...curves.values()].map((places) => tag("path", {
    d: line(places.sort((a, b) => a[0] - b[0] || a[1] - b[1])), ...look, "aria-hidden": "true",
  }));
  return tag("g", { role: "group", "aria-label": name },
    ...lines,
    ...rows.map((row) => ringsOf(row, x(row.kbps), y(row.q))).filter(Boolean),
    ...data.planned.filter((row) => row.series === number).map((row) => ringOf(x(row.kbps), y(row.q), "3 3")),
    ...rows.map((row) => pointOf(row, x(row.kbps), y(row.q), colour(number))));
};

const hullOf = (row, x, y) => tag("path", {
  d: line(row.line.map(([kbps, q]) => [x(kbps), y(q)])), fill: "none", stroke: colour(row.series), "stroke-width": 9,
  "stroke-opacity": "0.2", "stroke-linejoin": "round", "stroke-linecap": "round",
});

const ceilingOf = (row, size, y) => {
  const left = row.side === "left";
  const at = left ? LEFT + 5 : size.width - RIGHT - 5;
  return tag("path", {
    d: line([[LEFT, y(row.q)], [size.width - RIGHT, y(row.q)]]), stroke: "var(--muted)", "stroke-width": "1.25", "stroke-dasharray": "3 3",
  }) + label(at, y(row.q) - 4, row.text, { "text-anchor": left ? "start" : "end" });
};

// What a rate chart shows: rates and quality from the data, or from where a reader has zoomed to.
const rateScales = (data, size, rates, zoom) => {
  const values = [...data.points, ...data.ceiling].map((row) => row.q);
  const all = values.length ? values : [0, 1];
  const [low, high] = zoom ? zoom.y : nice(Math.min(...all), Math.max(...all), 6);
  const [first, last] = zoom ? zoom.x : rates;
  return {
    x: scale(first, last, LEFT, size.width - RIGHT, Math.log),
    y: scale(low, high, size.height - BOTTOM, TOP),
  };
};

const rateChart = (data, size, { x, y }) => whole(size,
  axes(size, x, y, rateTicks(x.low, x.high), ticks(y.low, y.high, 6), "video bitrate, kb/s (log scale)"),
  plot(size,
    tag("g", { class: "hulls", "aria-hidden": "true" }, data.hulls.map((row) => hullOf(row, x, y)).join("")),
    tag("g", { class: "ceiling", "aria-hidden": "true" }, data.ceiling.map((row) => ceilingOf(row, size, y)).join("")),
    ...data.names.map((name, i) => seriesOf(name, i, data, x, y))));

const TRACE_LOOKS = { a: ["var(--ink)", "1.6"], b: ["var(--rival)", "1.6"], source: ["var(--muted)", "1"] };

const frameScales = (rows, size, span, zoom) => {
  const values = rows.flatMap(([, places]) => places.map(([, q]) => q));
  const [low, high] = values.reduce(([a, b], q) => [Math.min(a, q), Math.max(b, q)], values.length ? [Infinity, -Infinity] : [0, 1]);
  const [first, last] = zoom ? zoom.x : [0, span || 1];
  return { x: scale(first, last, LEFT, size.width - RIGHT), y: scale(...nice(low, high, 5), size.height - BOTTOM, TOP) };
};

const frameChart = (rows, size, { x, y }) => whole(size,
  axes(size, x, y, ticks(x.low, x.high, 8), ticks(y.low, y.high, 5), "time, s"),
  plot(size, tag("g", { "aria-hidden": "true" }, rows.filter(([, places]) => places.length).map(([who, places]) => tag("path", {
    d: line(places.map(([t, q]) => [x(t), y(q)])), fill: "none", stroke: TRACE_LOOKS[who][0], "stroke-width": TRACE_LOOKS[who][1],
    "stroke-linejoin": "round",
  })).join(""))));

// What explains a dip: bits and quantiser of each frame, key frames, frames decoded out of order, and where scenes begin.
const BITS_HEIGHT = 92, QUANTISERS_HEIGHT = 64;
const KIND_LOOKS = { P: ["0.55", 1], B: ["0.3", 1], K: ["1", 1.6] };
const KIND_NAMES = { K: "key frame", B: "B frame", P: "P frame" };

const bitsOf = (bits, frame) => {
  if (!bits || !bits.bytes.length) return "";
  const at = Math.min(Math.floor(frame / bits.step), bits.bytes.length - 1);
  const quantiser = (bits.quantisers[at] ?? null) !== null ? `, quantiser ${num(bits.quantisers[at])}` : "";
  return `${(bits.bytes[at] / 1000).toFixed(1)} kB ${KIND_NAMES[bits.kinds[at]]}${quantiser}`;
};

// One rung's bars, up from the middle or down from it; a path for each kind.
const barsOf = (bits, fps, x, place, ink) => {
  const wide = Math.max(0.6, Math.min(7, (x(bits.step / fps) - x(0)) * 0.7));
  return Object.entries(KIND_LOOKS).map(([kind, [opacity, factor]]) => {
    const bars = bits.bytes.flatMap((size, i) => {
      const t = (i * bits.step) / fps;
      return bits.kinds[i] === kind && t >= x.low && t <= x.high ? [`M${num(x(t))},${num(place(0))}V${num(place(size))}`] : [];
    });
    return bars.length ? tag("path", { d: bars.join(""), stroke: ink, "stroke-width": num(wide * factor), "stroke-opacity": opacity, fill: "none" }) : "";
  }).join("");
};

const cutLines = (cuts, fps, x, top, bottom) => cuts.map((frame) => frame / fps).filter((t) => t >= x.low && t <= x.high)
  .map((t) => tag("path", { d: line([[x(t), top], [x(t), bottom]]), stroke: "var(--muted)", "stroke-dasharray": "2 4" })).join("");

// Two rungs: the first above the line, the second below it, by one scale.
const bitsChart = (title, keys, width, x) => {
  const rungs = keys.map((key) => title.stills.bits[key]).map((bits) => (bits?.bytes.length ? bits : null));
  const most = Math.max(1, ...rungs.flatMap((bits) => (bits ? [bits.bytes.reduce((a, b) => Math.max(a, b), 0)] : [])));
  const both = Boolean(rungs[0] && rungs[1]);
  const [top, bottom] = [8, BITS_HEIGHT - 4];
  const middle = both ? (top + bottom) / 2 : rungs[1] ? top : bottom;
  const up = scale(0, most, middle, top, Math.sqrt);
  const down = scale(0, most, middle, bottom, Math.sqrt);
  const content = [
    tag("path", { d: line([[LEFT, middle], [width - RIGHT, middle]]), stroke: "var(--line)" }),
    cutLines(title.stills.cuts, title.fps, x, top, bottom),
    rungs[0] ? barsOf(rungs[0], title.fps, x, up, "var(--ink)") : "",
    rungs[1] ? barsOf(rungs[1], title.fps, x, down, "var(--rival)") : "",
    label(LEFT - 7, top + 8, `${(most / 1000).toFixed(most < 10000 ? 1 : 0)} kB`, { "text-anchor": "end" }),
  ];
  return tag("svg", { viewBox: `0 0 ${width} ${BITS_HEIGHT}`, width, height: BITS_HEIGHT, xmlns: "http://www.w3.org/2000/svg" }, ...content);
};

// The quantisers of two rungs, as steps: frame by frame they jump between kinds of frames.
const quantisersChart = (title, keys, width, x) => {
  const rungs = keys.map((key) => title.stills.bits[key]).map((bits) => (bits?.quantisers.length ? bits : null));
  const values = rungs.flatMap((bits) => bits?.quantisers ?? []).filter((value) => value !== null);
  if (!values.length) return "";
  const [low, high] = nice(Math.min(...values), Math.max(...values), 2);
  const y = scale(low, high, QUANTISERS_HEIGHT - 6, 8);
  const steps = (bits) => {
    const points = bits.quantisers.flatMap((value, i) => {
      const [from, to] = [(i * bits.step) / title.fps, ((i + 1) * bits.step) / title.fps];
      return value === null || to < x.low || from > x.high ? [] : [[x(Math.max(from, x.low)), y(value)], [x(Math.min(to, x.high)), y(value)]];
    });
    return points.length ? line(points) : "";
  };
  const marks = [low, high].flatMap((value) => [
    tag("path", { d: line([[LEFT, y(value)], [width - RIGHT, y(value)]]), stroke: "var(--line)" }),
    label(LEFT - 7, y(value) + 4, num(value), { "text-anchor": "end" }),
  ]);
  const lines = rungs.map((bits, i) => bits
    ? tag("path", { d: steps(bits), stroke: i ? "var(--rival)" : "var(--ink)", "stroke-width": "1.2", fill: "none" }) : "");
  return tag("svg", {
    viewBox: `0 0 ${width} ${QUANTISERS_HEIGHT}`, width, height: QUANTISERS_HEIGHT, xmlns: "http://www.w3.org/2000/svg",
  }, ...marks, ...lines);
};

const svgOf = (text) => document.importNode(new DOMParser().parseFromString(text, "image/svg+xml").documentElement, true);

const drawBits = (title, element, keys, width, x) => {
  const known = keys.some((key) => title.stills?.bits[key]?.bytes.length);
  element.hidden = !known;
  if (!known) return;
  const cuts = title.stills.cuts.length ? "; dashed lines: a scene begins" : "";
  const said = (textContent) => make("p", { className: "sub", textContent });
  element.replaceChildren(svgOf(bitsChart(title, keys, width, x)),
    said(`Size of each frame, square-root scale; key frames dark, B frames light${cuts}.`));
  const quantisers = quantisersChart(title, keys, width, x);
  if (quantisers) element.append(svgOf(quantisers), said("Quantiser of each frame, on each encoder's own scale."));
};

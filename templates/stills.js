// Pictures of the kept frames: two of them, held against each other in four ways, at any size.
const SOURCE = "source";
const TYPICAL = "typical";
const MODES = { wipe: "Wipe", side: "Side by side", flip: "Flicker", difference: "Difference" };
const ZOOMS = [["fit", "Fit"], [1, "1:1"], [2, "2×"], [4, "4×"], [8, "8×"]];
const KEYS = { w: "wipe", s: "side", d: "difference" };
const THUMB = 92;

const playerLines = (title, left, right, seconds) => {
  const { players, file, width, height } = title.stills;
  const made = [left, right].flatMap((key) => players[key]?.made ?? []);
  const [a, b] = [left, right].map((key) => players[key]?.file ?? file);
  const scaled = `[vid1]scale=${width}:${height}[a];[vid2]scale=${width}:${height}[b];[a][b]hstack[vo]`;
  return [...made, `video-compare ${a} ${b}`,
    `mpv --pause --start=${seconds.toFixed(3)} ${a} --external-file=${b} --lavfi-complex='${scaled}'`].join("\n");
};

const choiceGroup = (name, items, chosen, work) => make("div", { className: "choice", role: "group", "aria-label": name },
  ...items.map(([value, text]) => {
    const button = make("button", { type: "button", className: "quiet", textContent: text });
    button.dataset.value = value;
    button.setAttribute("aria-pressed", String(String(value) === String(chosen)));
    button.addEventListener("click", () => work(value));
    return button;
  }));

const press = (group, value) => {
  for (const button of $$("button", group)) button.setAttribute("aria-pressed", String(button.dataset.value === String(value)));
};

// Left edges of boxes ``wide`` px wide, as near to their places as they can be without one on another.
const spreadOut = (places, wide, low, high) => {
  const found = places.map((place) => Math.max(low, Math.min(high - wide, place - wide / 2)));
  for (let i = 1; i < found.length; i += 1) found[i] = Math.max(found[i], found[i - 1] + wide);
  if (found.length) found[found.length - 1] = Math.min(found[found.length - 1], high - wide);
  for (let i = found.length - 2; i >= 0; i -= 1) found[i] = Math.min(found[i], found[i + 1] - wide);
  return found;
};

const setUpPictures = (title, section, { picks, seek }) => {
  const { stills } = title;
  if (!stills) return { show: () => {}, follow: () => {} };
  const frames = Object.keys(stills.why).map(Number).sort((a, b) => a - b);
  const of = (key) => stills.pictures[key];
  const name = (key) => (key === SOURCE ? "source" : title.rungs[key].label);
  const first = (pick) => (of(pick.value) ? pick.value : SOURCE);
  const state = {
    left: first(picks[0]), right: first(picks[1]), frame: frames[0], zoom: "fit", x: 0, y: 0, wipe: 50, gain: 8, flipped: false,
    mode: recall(`${title.key}.view`) in MODES ? recall(`${title.key}.view`) : "wipe",
  };
  if (state.left === state.right) state.right = SOURCE;

  const panes = [0, 1].map(() => make("div", { className: "pane" }, make("img", { alt: "", draggable: false, decoding: "async" }), make("span", { className: "who" })));
  const handle = make("div", { className: "handle", tabIndex: 0, role: "slider", "aria-label": "Border between the pictures", "aria-valuemin": "0", "aria-valuemax": "100" });
  const layers = make("div", { className: "layers" }, ...panes);
  const stage = make("div", { className: "stage", tabIndex: 0, role: "group" }, layers, handle);
  const said = make("output", { className: "sub" });
  const selects = ["left picture", "right picture"].map((text) => make("select", { "aria-label": text },
    ...Object.keys(stills.pictures).map((key) => make("option", { value: key, textContent: name(key) }))));
  const modes = choiceGroup("How the pictures are compared", Object.entries(MODES), state.mode, (mode) => { setMode(mode); });
  const zooms = choiceGroup("Zoom", ZOOMS, "fit", (zoom) => zoomTo(zoom));
  const gain = make("input", { type: "range", min: "1", max: "32", step: "1", value: "8", "aria-label": "Amplification of the difference" });
  const gained = make("label", { className: "gain" }, "amplified ", gain, make("span"));
  const flip = make("button", { type: "button", className: "quiet", textContent: "Flip (F)" });
  const player = make("details", { className: "player" }, make("summary", { textContent: "Lines to paste: video-compare, mpv" }), make("div"));
  const strip = $(".strip", section);
  const box = make("div", { className: "card pictures" },
    make("div", { className: "filters" }, make("label", {}, make("i", { className: "swatch-a" }), "left ", selects[0]), make("label", {}, make("i", { className: "swatch-b" }), "right ", selects[1])),
    make("div", { className: "filters" }, modes, zooms, gained, flip), stage, said,
    make("p", { className: "hint", textContent: "Arrow keys step through the kept frames, F flips the two, W, S and D choose wipe, side by side and difference, + and − zoom, 0 fits. Drag to move a picture that is larger than its window." }), player);
  $(".pictured", section).replaceChildren(box);

  const pane = () => ({ width: panes[0].clientWidth || stage.clientWidth, height: stage.clientHeight });
  const factor = () => (state.zoom === "fit" ? pane().width / stills.width : state.zoom / devicePixelRatio);
  const held = (offset, room, whole) => (whole <= room ? (room - whole) / 2 : Math.max(room - whole, Math.min(0, offset)));

  const place = () => {
    const { width } = pane();
    stage.style.height = `${Math.round((width / stills.width) * stills.height)}px`;
    // Paper is narrower than the window, and nobody tells a script in time.
    stage.classList.toggle("fit", state.zoom === "fit");
    stage.style.setProperty("--shape", `${(state.mode === "side" ? 2 : 1) * stills.width}/${stills.height}`);
    const [room, s] = [pane(), factor()];
    state.x = held(state.x, room.width, stills.width * s);
    state.y = held(state.y, room.height, stills.height * s);
    for (const image of $$("img", layers)) {
      Object.assign(image.style, { width: `${stills.width * s}px`, height: `${stills.height * s}px`, transform: `translate(${state.x}px,${state.y}px)` });
      image.classList.toggle("pixels", s * devicePixelRatio >= 2);
    }
    panes[1].style.clipPath = state.mode === "wipe" ? `inset(0 0 0 ${state.wipe}%)` : "none";
    handle.style.left = `${state.wipe}%`;
    handle.setAttribute("aria-valuenow", String(Math.round(state.wipe)));
    layers.style.filter = state.mode === "difference" ? `brightness(${state.gain})` : "none";
  };

  const draw = () => {
    const sides = [state.left, state.right];
    stage.className = `stage ${state.mode}${state.mode === "flip" && state.flipped ? " flipped" : ""}`;
    stage.setAttribute("aria-label", `Pictures of frame ${state.frame}: ${name(sides[0])} and ${name(sides[1])}; arrow keys step through the kept frames`);
    handle.hidden = state.mode !== "wipe";
    gained.hidden = state.mode !== "difference";
    flip.hidden = state.mode !== "flip";
    $("span", gained).textContent = `${state.gain}×`;
    panes.forEach((element, i) => {
      const image = $("img", element);
      const address = of(sides[i])[state.frame] ?? "";
      if (image.getAttribute("src") !== address) image.src = address;
      image.hidden = !address;
      image.alt = `${name(sides[i])}, frame ${state.frame}`;
      $(".who", element).textContent = name(sides[i]);
      selects[i].value = sides[i];
    });
    const why = stills.why[state.frame].filter((text) => text !== TYPICAL);
    const what = [...(why.length ? [`the worst ${why.length > 2 ? `of ${why.length} rungs` : `of ${why.join(" and of ")}`}`] : []),
      ...(why.length < stills.why[state.frame].length ? ["typical"] : [])];
    said.textContent = `Pictures of frame ${state.frame} · ${(state.frame / title.fps).toFixed(2)} s`
      + (what.length ? ` · ${what.join(", ")}` : "");
    press(modes, state.mode);
    press(zooms, state.zoom);
    for (const thumb of $$("button", strip)) thumb.setAttribute("aria-current", String(Number(thumb.dataset.frame) === state.frame));
    $("div", player).replaceChildren(codeBox(playerLines(title, state.left, state.right, state.frame / title.fps)));
    place();
  };

  const setMode = (mode) => {
    state.mode = mode;
    state.flipped = false;
    remember(`${title.key}.view`, mode === "wipe" ? null : mode);
    draw();
  };
  const zoomTo = (zoom, at) => {
    const before = factor();
    const [cx, cy] = at ?? [pane().width / 2, pane().height / 2];
    state.zoom = zoom;
    const ratio = factor() / before;
    Object.assign(state, { x: cx - (cx - state.x) * ratio, y: cy - (cy - state.y) * ratio });
    press(zooms, zoom);
    place();
  };
  const zoomStep = (step, at) => {
    const levels = ZOOMS.map(([value]) => value);
    zoomTo(levels[Math.max(0, Math.min(levels.length - 1, levels.indexOf(state.zoom) + step))], at);
  };
  const step = (by) => seek(frames[Math.max(0, Math.min(frames.length - 1, frames.indexOf(state.frame) + by))]);
  const flipOver = () => {
    if (state.mode !== "flip") setMode("flip");
    state.flipped = !state.flipped;
    draw();
  };

  const spot = (event) => {
    const bounds = stage.getBoundingClientRect();
    return [event.clientX - bounds.x, event.clientY - bounds.y];
  };
  const wipeTo = (share) => { state.wipe = Math.max(0, Math.min(100, share)); place(); };
  let drag = null;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const larger = stills.width * factor() > pane().width + 1;
    drag = { wipe: event.target === handle || (state.mode === "wipe" && !larger), from: spot(event), x: state.x, y: state.y, moved: false };
    stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const [x, y] = spot(event);
    drag.moved ||= Math.hypot(x - drag.from[0], y - drag.from[1]) > 3;
    if (drag.wipe) wipeTo((x / stage.clientWidth) * 100);
    else { Object.assign(state, { x: drag.x + x - drag.from[0], y: drag.y + y - drag.from[1] }); place(); }
  });
  stage.addEventListener("pointerup", () => {
    if (drag && !drag.moved && state.mode === "flip") flipOver();
    drag = null;
  });
  stage.addEventListener("pointercancel", () => { drag = null; });
  stage.addEventListener("dblclick", (event) => zoomTo(state.zoom === "fit" ? 2 : "fit", spot(event)));
  stage.addEventListener("wheel", (event) => {
    // A page that scrolls must go on scrolling: the wheel is taken only where the pictures have been chosen first.
    if (!event.ctrlKey && !stage.contains(document.activeElement)) return;
    event.preventDefault();
    zoomStep(event.deltaY < 0 ? 1 : -1, spot(event));
  }, { passive: false });
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const key = event.key.toLowerCase();
    if (by && event.target === handle) wipeTo(state.wipe + by * 2);
    else if (by) step(by);
    else if (event.key === "Home" || event.key === "End") seek(frames[event.key === "Home" ? 0 : frames.length - 1]);
    else if (key === "f" || (event.key === " " && state.mode === "flip")) flipOver();
    else if (key in KEYS) setMode(KEYS[key]);
    else if (event.key === "+" || event.key === "=") zoomStep(1);
    else if (event.key === "-") zoomStep(-1);
    else if (event.key === "0") zoomTo("fit");
    else if (["1", "2", "4", "8"].includes(event.key)) zoomTo(Number(event.key));
    else return;
    event.preventDefault();
  });
  flip.addEventListener("click", flipOver);
  gain.addEventListener("input", () => { state.gain = Number(gain.value); draw(); });
  selects.forEach((select, i) => select.addEventListener("change", () => {
    state[i ? "right" : "left"] = select.value;
    if (select.value !== SOURCE && picks[i].value !== select.value) {
      picks[i].value = select.value;
      picks[i].dispatchEvent(new Event("change"));
    }
    draw();
  }));
  picks.forEach((pick, i) => pick.addEventListener("change", () => {
    if (of(pick.value)) state[i ? "right" : "left"] = pick.value;
    draw();
  }));
  new ResizeObserver(() => place()).observe(stage);

  for (const frame of frames) {
    const address = stills.pictures[SOURCE][frame];
    const seconds = (frame / title.fps).toFixed(2);
    const thumb = make("button", { type: "button", title: `frame ${frame}, ${seconds} s`, "aria-label": `Pictures of frame ${frame}, ${seconds} s` },
      make("img", { src: address, alt: "", loading: "lazy", width: THUMB - 6, height: Math.round(((THUMB - 6) * stills.height) / stills.width) }));
    thumb.dataset.frame = frame;
    thumb.addEventListener("click", () => seek(frame));
    strip.append(thumb);
  }
  draw();

  return {
    // The kept frame nearest to one that the chart shows.
    show: (frame) => {
      const near = frames.reduce((best, other) => (Math.abs(other - frame) < Math.abs(best - frame) ? other : best), frames[0]);
      if (near !== state.frame) { state.frame = near; draw(); }
    },
    // Thumbnails along the time axis of the chart.
    follow: ({ x }, width) => {
      const thumbs = $$("button", strip);
      const shown = thumbs.filter((thumb) => { const t = thumb.dataset.frame / title.fps; return t >= x.low && t <= x.high; });
      const wide = Math.min(THUMB, (width - LEFT) / Math.max(1, shown.length));
      const places = shown.map((thumb) => x(thumb.dataset.frame / title.fps));
      const edges = spreadOut(places, wide, LEFT - wide / 2, width);
      for (const thumb of thumbs) thumb.hidden = !shown.includes(thumb);
      shown.forEach((thumb, i) => Object.assign(thumb.style, { left: `${edges[i]}px`, width: `${wide - 4}px` }));
      const tall = Math.round(((wide - 10) * stills.height) / stills.width) + 24;
      strip.style.height = `${tall}px`;
      const stems = places.map((at, i) => tag("path", { d: `M${num(at)},0V4L${num(edges[i] + wide / 2 - 2)},14V18`, stroke: "var(--muted)", fill: "none" }));
      $("svg", strip)?.remove();
      const markup = new DOMParser().parseFromString(tag("svg", { width, height: 18, "aria-hidden": "true", xmlns: "http://www.w3.org/2000/svg" }, ...stems), "image/svg+xml");
      strip.prepend(document.importNode(markup.documentElement, true));
    },
  };
};

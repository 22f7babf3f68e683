// Set-up that every part uses: data, theme, copy buttons, and charts that are drawn when they come near the screen.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const specs = JSON.parse(document.getElementById("specs").textContent);
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const MINUS = "\u2212";

const format = (metric, value, sign = false) => {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value).toFixed(metric.decimals);
  return (value < 0 ? MINUS : sign ? "+" : "") + text;
};

for (const element of $$(".live")) element.hidden = false;
for (const element of $$(".static")) element.hidden = true;

// Browsers may refuse storage to pages from file://: the choice then lasts until the page is closed.
const stored = {
  get: () => { try { return localStorage.getItem("vqa-theme"); } catch { return null; } },
  set: (value) => { try { localStorage.setItem("vqa-theme", value); } catch { /* refused, see above */ } },
};
const themes = ["auto", "light", "dark"];
const applyTheme = (name) => {
  document.documentElement.dataset.theme = name;
  $("#theme span").textContent = name;
};
applyTheme(themes.includes(stored.get()) ? stored.get() : "auto");
$("#theme").hidden = false;
$("#theme").addEventListener("click", () => {
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
  applyTheme(next);
  stored.set(next);
});

// The clipboard API needs a secure context, which file:// is not everywhere; selecting and copying works there.
const copyText = async (pre) => {
  try {
    await navigator.clipboard.writeText(pre.textContent);
  } catch {
    getSelection().selectAllChildren(pre);
    document.execCommand("copy");
    getSelection().removeAllRanges();
  }
};
for (const box of $$(".code")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await copyText($("pre", box));
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  box.append(button);
}

// The row that a mark stands for. Cells of the nearest-point search hold the mark, which holds the row.
const rowOf = (item) => item?.datum?.key ? item.datum : item?.datum?.datum;

const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);
const NEAR_PX = 60;

// Vega's own tooltips read the wrong row under a nearest-point search, and show it however far away it is.
const showTip = (handler, event, item, value) => {
  const row = rowOf(item);
  tip.hidden = true;
  if (value === null || value === undefined || !row) return;
  const mark = item.datum.datum ? item.datum : item;
  const box = handler.canvas().getBoundingClientRect();
  const [left, top] = handler.origin();
  const [x, y] = [box.left + left + mark.x, box.top + top + mark.y];
  if (Math.hypot(event.clientX - x, event.clientY - y) > NEAR_PX) return;
  const name = document.createElement("b");
  name.textContent = row.label;
  tip.replaceChildren(name, ...[row.value, row.rate, row.note].filter(Boolean).map((text) => {
    const line = document.createElement("div");
    line.textContent = text;
    return line;
  }));
  tip.hidden = false;
  tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - tip.offsetWidth - 8))}px`;
  tip.style.top = `${y + tip.offsetHeight + 20 > innerHeight ? y - tip.offsetHeight - 12 : y + 14}px`;
};
addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

const drawChart = async (element, spec) => {
  const result = await vegaEmbed(element, spec, {
    renderer: "svg",
    actions: false,
    ast: true, // expressions are interpreted: the content policy forbids eval
    defaultStyle: false,
    logLevel: 1, // errors: an empty layer (no ceiling, no inversion) is no cause for a warning
    tooltip: showTip,
  });
  element.classList.add("ready");
  return result.view;
};

const whenNear = (element, draw) => {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    draw();
  }, { rootMargin: "600px" });
  observer.observe(element);
};

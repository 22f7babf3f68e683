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

const drawChart = async (element, spec) => {
  const result = await vegaEmbed(element, spec, {
    renderer: "svg",
    actions: false,
    ast: true, // expressions are interpreted: the content policy forbids eval
    defaultStyle: false,
    logLevel: 1, // errors: an empty layer (no ceiling, no inversion) is no cause for a warning
    tooltip: { theme: "page", disableDefaultStyle: true },
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

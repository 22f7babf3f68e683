// What every page has: short names, theme, what the address remembers, copy buttons, sorted tables.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const MINUS = "\u2212";

const format = (metric, value, sign = false) => {
  if (value === null || value === undefined) return "–";
  const text = Math.abs(value).toFixed(metric.decimals);
  return (value < 0 ? MINUS : sign ? "+" : "") + text;
};

const make = (name, properties = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value; else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
};

const showScripted = (root) => {
  for (const element of $$(".live", root)) element.hidden = false;
  for (const element of $$(".static", root)) element.hidden = true;
};

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

const setUpTheme = () => {
  applyTheme(themes.includes(stored.get()) ? stored.get() : "auto");
  $("#theme").addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
    applyTheme(next);
    stored.set(next);
  });
};

// The address keeps what is selected: "#at=t0-curves&t0.off=…", or a plain "#t0-curves" as a link has it.
const address = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
if (!location.hash.includes("=") && location.hash.length > 1) address.set("at", decodeURIComponent(location.hash.slice(1)));
let written = location.hash;

const recall = (name) => address.get(name);
const remember = (name, value) => {
  if ((recall(name) ?? "") === (value ?? "")) return;
  if (value === null || value === "") address.delete(name); else address.set(name, value);
  written = address.toString() === "" ? "#" : `#${address}`;
  history.replaceState(null, "", written);
};

// Sections are drawn when they come near, and are then of another height: the target is held until they rest or the reader moves.
const HELD_MS = 800;
const hold = (target) => {
  const end = performance.now() + HELD_MS, moves = ["wheel", "touchstart", "pointerdown", "keydown"];
  let held = true;
  const letGo = () => { held = false; moves.forEach((move) => removeEventListener(move, letGo, true)); };
  moves.forEach((move) => addEventListener(move, letGo, { capture: true, passive: true }));
  const again = () => {
    if (!held) return;
    target.scrollIntoView({ behavior: "instant" });
    if (performance.now() < end) requestAnimationFrame(again); else letGo();
  };
  requestAnimationFrame(again);
};

const goTo = (id) => {
  const target = document.getElementById(id);
  if (!target) return;
  target.scrollIntoView({ behavior: "instant" });
  hold(target);
  if (!target.matches("a, button, input, select, [tabindex]")) target.tabIndex = -1;
  target.focus({ preventScroll: true });
};

const setUpAddress = () => {
  addEventListener("hashchange", () => { if (location.hash !== written) location.reload(); });
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    event.preventDefault();
    const id = decodeURIComponent(link.hash.slice(1));
    $("dialog[open]")?.close();
    goTo(id);
    remember("at", id === "content" ? null : id);
  });
};

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

const codeBox = (text) => {
  const pre = make("pre", { tabIndex: 0, textContent: text });
  const box = make("div", { className: "code" }, pre);
  addCopy(box);
  return box;
};

const addCopy = (box) => {
  const button = make("button", { type: "button", className: "quiet", textContent: "Copy" });
  button.addEventListener("click", async () => {
    await copyText($("pre", box));
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  box.append(button);
};

const cellValue = (row, index) => {
  const text = row.cells[index].dataset.v ?? row.cells[index].textContent.trim();
  if (text === "") return null;
  return Number.isNaN(Number(text)) ? text : Number(text);
};

// Rows without a value stay last in both directions.
const compareCells = (a, b, direction) => {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  return direction * String(a).localeCompare(String(b), undefined, { numeric: true });
};

const sortRows = (table, header, direction) => {
  const index = header.cellIndex;
  for (const other of $$("th[aria-sort]", table)) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = [...body.rows].filter((row) => !row.classList.contains("more"));
  rows.sort((a, b) => compareCells(cellValue(a, index), cellValue(b, index), direction));
  for (const row of rows) body.append(row, ...(row.id && document.getElementById(`${row.id}-more`) ? [document.getElementById(`${row.id}-more`)] : []));
};

// Heads that sort, and the address that remembers by which and in which direction.
const setUpSorting = (table, name) => {
  const heads = $$("thead button", table);
  const sort = (head, direction) => {
    sortRows(table, head, direction);
    remember(name, `${direction > 0 ? "" : "-"}${head.cellIndex}`);
  };
  for (const button of heads) {
    const head = button.closest("th");
    button.disabled = false;
    button.addEventListener("click", () => sort(head, head.getAttribute("aria-sort") === "ascending" ? -1 : 1));
  }
  const kept = recall(name);
  const button = heads.find((candidate) => candidate.closest("th").cellIndex === Math.abs(Number(kept)));
  if (kept && button) sort(button.closest("th"), kept.startsWith("-") ? -1 : 1);
};

const whenNear = (element, work) => {
  const observer = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    work();
  }, { rootMargin: "600px" });
  observer.observe(element);
};

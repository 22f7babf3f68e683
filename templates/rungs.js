// The table of rungs: sorting, finding, opening rows. Then everything is put together.
const cellValue = (row, index) => {
  const text = row.cells[index].dataset.v ?? row.cells[index].textContent.trim();
  if (text === "") return null;
  return Number.isNaN(Number(text)) ? text : Number(text);
};

// Rungs without a value stay last in both directions.
const compareCells = (a, b, direction) => {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  return direction * String(a).localeCompare(String(b), undefined, { numeric: true });
};

const sortRows = (table, header) => {
  const index = header.cellIndex;
  const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of $$("th[aria-sort]", table)) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  const body = table.tBodies[0];
  const rows = $$("tr.rung", body);
  rows.sort((a, b) => compareCells(cellValue(a, index), cellValue(b, index), direction));
  for (const row of rows) body.append(row, document.getElementById(`${row.id}-more`));
};

const openRow = (row, open) => {
  const button = $(".open", row);
  document.getElementById(`${row.id}-more`).hidden = !open;
  button.setAttribute("aria-expanded", String(open));
  button.textContent = open ? "Close" : "Details";
};

const setUpRungs = (root, state, showFrames) => {
  const section = $(".rungs", root);
  const rows = $$("tr.rung", section);
  const search = $("input[type=search]", section);
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const { codec, size, run } = row.dataset;
      const text = row.textContent.toLowerCase();
      const on = isShown({ codec, size, run }, state) && words.every((word) => text.includes(word));
      row.hidden = !on;
      if (!on) openRow(row, false);
      shown += on;
    }
    $(".count", section).textContent = `${shown} of ${rows.length}`;
  };
  state.watchers.push(filter);
  search.addEventListener("input", filter);
  for (const button of $$("thead button", section)) {
    button.disabled = false;
    button.addEventListener("click", () => sortRows($(".grid", section), button.closest("th")));
  }
  for (const row of rows) {
    $(".open", row).addEventListener("click", (event) => openRow(row, event.target.getAttribute("aria-expanded") !== "true"));
    $(".plot", row)?.addEventListener("click", () => {
      state.choose(row.id, false);
      $(".frames", root).scrollIntoView();
    });
  }
  const all = $(".all", section);
  all.addEventListener("click", () => {
    const open = all.textContent.startsWith("Open");
    for (const row of rows) if (!row.hidden) openRow(row, open);
    all.textContent = open ? "Close all" : "Open all commands";
  });
  state.choose = (key, against) => {
    for (const row of rows) row.classList.toggle("on", row.id === key);
    showFrames(key, against);
  };
  filter();
};

for (const title of data.titles) {
  const root = document.getElementById(title.key);
  const state = setUpCurves(title, root);
  setUpBd(root);
  const showFrames = setUpFrames(title, root);
  if ($(".rungs", root)) setUpRungs(root, state, showFrames);
}
document.documentElement.dataset.ready = "yes";

// The table of rungs: sorting, finding, and rows that unfold to what was measured and run.
const POOLED = ["mean", "harmonic", "p10", "p5", "p1", "min", "std"];

const pooledTable = (pooled) => make("table", { className: "plain pooled" },
  make("thead", {}, make("tr", {}, make("th", { scope: "col", textContent: "frames" }),
    ...POOLED.map((name) => make("th", { scope: "col", className: "n", textContent: name })))),
  make("tbody", {}, ...Object.entries(pooled).map(([name, values]) => make("tr", {}, make("th", { scope: "row", textContent: name }),
    ...values.map((value) => make("td", { className: "n", textContent: value }))))));

const commandBox = ([name, command]) => {
  const summary = make("summary", { textContent: name[0].toUpperCase() + name.slice(1) });
  return make("details", { open: name.startsWith("encode") }, summary, codeBox(command));
};

const detailsRow = (row, { said, beaten, facts, pooled, commands }) => {
  const inner = make("div", { className: "inner" }, ...said.map((text) => make("p", { className: "warn", textContent: text })),
    ...(beaten ? [make("p", { textContent: `Beaten by ${beaten}.` })] : []),
    ...(Object.keys(pooled).length ? [pooledTable(pooled)] : []),
    ...(facts ? [make("p", { className: "sub", textContent: facts })] : []), ...commands.map(commandBox));
  return make("tr", { className: "more", id: `${row.id}-more`, hidden: true }, make("td", { colSpan: row.cells.length }, inner));
};

const setUpRungs = (title, root, state, showFrames) => {
  const section = $(".rungs", root);
  const rows = $$("tr.rung", section);
  const search = $("input[type=search]", section);
  const all = $(".all", section);

  const openRow = (row, open) => {
    const button = $(".open", row);
    let more = document.getElementById(`${row.id}-more`);
    if (!more && !open) return;
    if (!more) {
      more = detailsRow(row, title.more[row.id]);
      row.after(more);
    }
    more.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "Close" : "Details";
    button.setAttribute("aria-label", `${button.textContent} ${open ? "details of" : "of"} ${title.rungs[row.id].label}`);
  };
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const on = isShown(title.rungs[row.id], state) && words.every((word) => text.includes(word));
      row.hidden = !on;
      if (!on) openRow(row, false);
      shown += on;
    }
    $(".count", section).textContent = `${shown} of ${rows.length}`;
    remember(`${title.key}.find`, search.value);
  };
  search.value = recall(`${title.key}.find`) ?? "";
  state.watchers.push(filter);
  search.addEventListener("input", filter);
  section.addEventListener("click", (event) => {
    const row = event.target.closest("tr.rung");
    if (event.target.matches(".open")) openRow(row, event.target.getAttribute("aria-expanded") !== "true");
    if (event.target.matches(".plot-frames")) state.show(row.id, event.shiftKey);
  });
  all.addEventListener("click", () => {
    const open = all.textContent.startsWith("Open");
    for (const row of rows) if (!row.hidden) openRow(row, open);
    all.textContent = open ? "Close all" : "Open all commands";
  });
  const mark = (key) => { for (const row of rows) row.classList.toggle("on", row.id === key); };
  state.choose = (key, against) => {
    mark(key);
    remember(`${title.key}.rung`, key);
    showFrames(key, against);
  };
  state.show = (key, against) => {
    state.choose(key, against);
    goTo($(".frames", root).id);
  };
  mark(recall(`${title.key}.rung`));
  setUpSorting($(".grid", section), `${title.key}.sort`);
  filter();
};

"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const specs = read("specs"), frames = read("frames");
  const root = document.documentElement;

  const config = () => {
    const css = getComputedStyle(root);
    const fg = css.getPropertyValue("--fg").trim(), soft = css.getPropertyValue("--soft").trim();
    const line = css.getPropertyValue("--line").trim();
    return {
      background: "transparent", font: "system-ui, sans-serif", view: { stroke: null },
      axis: { labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line, titleFontWeight: 500, labelFontSize: 11 },
      legend: { labelColor: fg, titleColor: soft, symbolStrokeWidth: 2 }, title: { color: fg },
    };
  };
  // Specs name their own size for SVG and PNG; on the page they fill their box.
  const draw = (id, spec) => {
    const box = document.getElementById(id);
    if (!box) return;
    const own = structuredClone(spec);
    own.width = "container";
    own.autosize = { type: "fit-x", contains: "padding" };
    own.config = { ...(own.config || {}), ...config() };
    window.vegaEmbed(box, own, { actions: { export: true, source: false, compiled: false, editor: false }, renderer: "svg" })
      .catch((error) => { box.textContent = "chart failed: " + error; });
  };

  const fill = (select, values, chosen) => {
    for (const [value, text] of values) {
      const option = document.createElement("option");
      option.value = value; option.textContent = text; option.selected = value === chosen;
      select.append(option);
    }
  };
  const frameSpec = (group, metric, names) => {
    const values = names.flatMap((name) => (group.rungs[name]?.[metric] || []).map(([frame, quality]) => ({ frame, quality, rung: name })));
    return {
      $schema: "https://vega.github.io/schema/vega-lite/v6.json", data: { values }, height: 240,
      mark: { type: "line", strokeWidth: 1.4 },
      encoding: {
        x: { field: "frame", type: "quantitative", title: "frame", scale: { nice: false } },
        y: { field: "quality", type: "quantitative", title: group.metrics[metric], scale: { zero: false } },
        color: { field: "rung", type: "nominal", sort: names, title: null, scale: { range: ["#0072b2", "#d55e00"] }, legend: { orient: "top", labelLimit: 300 } },
        tooltip: [{ field: "rung" }, { field: "frame" }, { field: "quality", format: ".3f" }],
      },
    };
  };
  const drawFrames = (form) => {
    const group = frames[form.dataset.group];
    const pick = (role) => form.querySelector(`[data-role=${role}]`).value;
    const names = [...new Set([pick("first"), pick("second")].filter(Boolean))];
    draw(`frames-${form.dataset.group}`, frameSpec(group, pick("metric"), names));
  };
  const forms = [...document.querySelectorAll("form.controls")];
  for (const form of forms) {
    const group = frames[form.dataset.group], rungs = Object.keys(group.rungs);
    const plain = rungs.filter((name) => !name.endsWith("source"));
    const select = (role) => form.querySelector(`[data-role=${role}]`);
    fill(select("metric"), Object.entries(group.metrics), Object.keys(group.metrics)[0]);
    fill(select("first"), rungs.map((name) => [name, name]), plain[0]);
    fill(select("second"), [["", "nothing"], ...rungs.map((name) => [name, name])], plain[plain.length - 1]);
    form.addEventListener("change", () => drawFrames(form));
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  const drawAll = () => {
    for (const [id, spec] of Object.entries(specs)) draw(id, spec);
    forms.forEach(drawFrames);
  };
  drawAll();

  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.getElementById("theme").addEventListener("click", () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    drawAll();
  });
  dark.addEventListener("change", drawAll);

  for (const button of document.querySelectorAll(".copy")) {
    button.addEventListener("click", async () => {
      const text = button.parentElement.querySelector("code").textContent;
      try { await navigator.clipboard.writeText(text); button.textContent = "copied"; }
      catch { getSelection().selectAllChildren(button.parentElement.querySelector("code")); button.textContent = "selected"; }
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.tabIndex = 0;
      const sort = () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => { const cell = row.cells[column]; const text = cell.dataset.v ?? cell.textContent.trim(); const value = parseFloat(text); return Number.isNaN(value) ? text : value; };
        const rows = [...table.tBodies[0].rows].sort((a, b) => { const x = key(a), y = key(b); const order = typeof x === typeof y ? (x > y) - (x < y) : typeof x === "number" ? -1 : 1; return up ? order : -order; });
        table.tBodies[0].append(...rows);
      };
      head.addEventListener("click", sort);
      head.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
    });
  }
})();

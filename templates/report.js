// The report: every source is set up when it comes near the screen; then the list of sources and the overview.
const readTitle = (key) => JSON.parse(document.getElementById(`${key}-data`).textContent);

const setUpTitle = (root) => {
  const title = readTitle(root.id);
  const state = setUpCurves(title, root);
  setUpBd(title, root);
  const showFrames = setUpFrames(title, root);
  if ($(".rungs", root)) setUpRungs(title, root, state, showFrames);
  root.dataset.ready = "yes";
};

const setUpSources = () => {
  const dialog = $("#sources");
  if (!dialog) return;
  const search = $("input", dialog);
  const items = $$("li", dialog);
  const open = () => { search.value = ""; find(); dialog.showModal(); search.focus(); };
  const find = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of items) item.hidden = !words.every((word) => item.textContent.toLowerCase().includes(word));
    $(".count", dialog).textContent = `${items.filter((item) => !item.hidden).length} of ${items.length}`;
  };
  $("#open-sources").addEventListener("click", open);
  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => {
    const first = items.find((item) => !item.hidden);
    if (event.key === "Enter" && first) { event.preventDefault(); $("a", first).click(); }
  });
  $("button", dialog).addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
};

const setUpOverview = () => {
  const section = $("#overview");
  if (!section) return;
  const table = $("table", section);
  const search = $("input[type=search]", section);
  const rows = [...table.tBodies[0].rows];
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    $(".count", section).textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length}`;
    remember("find", search.value);
  };
  search.value = recall("find") ?? "";
  search.addEventListener("input", filter);
  setUpSorting(table, "sort");
  filter();
};

showScripted(document);
setUpTheme();
setUpAddress();
for (const box of $$(".code")) addCopy(box);
setUpSources();
setUpOverview();
for (const root of $$("article.title")) {
  // What the address remembers of a source is to be seen at once, and in print.
  const kept = [...address.keys()].some((name) => name.startsWith(`${root.id}.`));
  if (kept || $$("article.title").length === 1) setUpTitle(root); else whenNear(root, () => setUpTitle(root));
}
if (recall("at")) goTo(recall("at"));
document.documentElement.dataset.ready = "yes";

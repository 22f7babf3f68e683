// Two runs: a chart for each encoder and source, and tables that sort.
const setUpComparison = (panel) => {
  const title = JSON.parse(document.getElementById(`${panel.dataset.key}-data`).textContent);
  const off = { codec: new Set(), size: new Set(), run: new Set() };
  setUpPanel(title, panel, { pooling: "mean", hull: true, off, choose: () => {} }, 0);
};

showScripted(document);
setUpTheme();
setUpAddress();
for (const box of $$(".code")) addCopy(box);
for (const panel of $$(".panel")) setUpComparison(panel);
for (const table of $$(".compared")) setUpSorting(table, `${table.closest("article").id}.sort`);
if (recall("at")) goTo(recall("at"), "instant");
document.documentElement.dataset.ready = "yes";

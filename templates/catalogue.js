// A catalogue: tables that sort.
showScripted(document);
setUpTheme();
setUpAddress();
for (const table of $$(".compared")) setUpSorting(table, `${table.id}.sort`);
document.documentElement.dataset.ready = "yes";

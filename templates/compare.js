// Two runs: a chart for each encoder and source, and tables that sort.
const setUpComparison = (panel) => {
  const title = JSON.parse(document.getElementById(`${panel.dataset.key}-data`).textContent);
  const off = { codec: new Set(), size: new Set(), run: new Set() };
  setUpPanel(title, panel, { pooling: "mean", hull: true, off, choose: () => {}, show: () => {} }, 0);
};

// The same rung of both runs at one frame, those that lost most first.
const setUpBoth = (section) => {
  const title = JSON.parse(document.getElementById(`${section.id}-data`).textContent);
  const frames = Object.keys(title.stills.why).map(Number).sort((a, b) => a - b);
  const picks = [0, 1].map(() => make("select", {}, ...Object.keys(title.rungs).map((key) => make("option", { value: key }))));
  const strip = $(".strip", section);
  let pictures = null;
  const seek = (frame) => pictures.show(frame);
  const choose = ({ a, b, frame }) => {
    [a, b].forEach((key, i) => { picks[i].value = key; picks[i].dispatchEvent(new Event("change")); });
    seek(frame);
  };
  [picks[0].value, picks[1].value] = [title.pairs[0].a, title.pairs[0].b];
  pictures = setUpPictures(title, section, { picks, seek });
  seek(title.pairs[0].frame);
  $(".worst", section).append(...title.pairs.map((pair) => {
    const button = make("button", { type: "button", className: "quiet", textContent: pair.text });
    button.addEventListener("click", () => choose(pair));
    return button;
  }));
  const place = () => {
    const last = Math.max(1, frames[frames.length - 1]) / title.fps;
    pictures.follow({ x: scale(0, last, LEFT, strip.clientWidth - RIGHT) }, strip.clientWidth);
  };
  place();
  new ResizeObserver(place).observe(section);
};

showScripted(document);
setUpTheme();
setUpAddress();
for (const box of $$(".code")) addCopy(box);
for (const panel of $$(".panel")) setUpComparison(panel);
for (const section of $$(".both")) whenNear(section, () => setUpBoth(section));
for (const table of $$(".compared")) setUpSorting(table, `${table.closest("article").id}.sort`);
if (recall("at")) goTo(recall("at"));
document.documentElement.dataset.ready = "yes";

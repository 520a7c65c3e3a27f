// The slider and the choice of readout, and all that follows them.

function legend(host) {
  const sign = (text, ...shapes) => html("span", {}, svg("svg", { viewBox: "-14 -8 28 16", "aria-hidden": "true" }, ...shapes), text);
  const line = (style) => svg("line", { class: style, x1: -14, x2: 14, y1: 0, y2: 0 });
  host.append(...data.domains.map((one, domain) => html("span", { title: one.name }, svg("svg", { viewBox: "-14 -8 28 16", "aria-hidden": "true" },
    svg("line", { class: `line d${domain}`, x1: -14, x2: 14, y1: 0, y2: 0 }), marker(domain, 0, 0, 4.5, true)), one.short)));
  const here = data.timeline.readouts[0];
  if (here.low) {
    host.append(sign("95% over stimuli", svg("rect", { class: "band", x: -14, y: -6, width: 28, height: 12 })), sign("label swaps, 95%", line("chance")),
      sign("untrained twins, 95%", svg("rect", { class: "twins", x: -14, y: -6, width: 28, height: 12 })),
      sign(`floor: twins + ${data.emergence.criteria.delta}`, line("floor")), sign("filled: passes in this readout", svg("circle", { class: "dot full", r: 4 })));
  }
  if (data.axis.missed.length) host.append(html("span", {}, "× observation missing"));
  if (data.axis.doubted.length) host.append(html("span", {}, "! checkpoint doubted by the doctor"));
}
function controls() {
  const slider = byId("step"), chooser = byId("readout"), play = byId("play");
  slider.max = data.offered.length - 1;
  data.timeline.readouts.forEach((one, number) => chooser.append(html("option", { value: number }, one.words)));
  slider.addEventListener("input", () => change({ stop: Number(slider.value) }));
  chooser.addEventListener("change", () => change({ readout: Number(chooser.value) }));
  let timer = null;
  const playing = (on) => {
    clearInterval(timer);
    timer = on ? setInterval(() => state.stop < data.offered.length - 1 ? change({ stop: state.stop + 1 }) : playing(false), 400) : null;
    play.textContent = on ? "Pause" : "Play";
    play.setAttribute("aria-pressed", String(on));
  };
  play.addEventListener("click", () => {
    if (timer === null && state.stop === data.offered.length - 1) change({ stop: 0 });
    playing(timer === null);
  });
  watchers.push(() => {
    slider.value = state.stop;
    chooser.value = state.readout;
    slider.setAttribute("aria-valuetext", when(now()));
    byId("when").textContent = when(now());
    for (const place of document.querySelectorAll(".now")) place.textContent = when(now());
  });
  byId("controls").hidden = false;
}
function copying() {
  const button = byId("copy");
  button.hidden = false;
  button.addEventListener("click", () => {
    const text = byId("methods").textContent, range = document.createRange();
    range.selectNodeContents(byId("methods"));
    const chosen = getSelection();
    chosen.removeAllRanges();
    chosen.addRange(range);
    const told = (ok) => { byId("copied").textContent = ok ? "Copied." : "Selected: copy it with the keyboard."; };
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => told(true), () => told(document.execCommand("copy")));
    else told(document.execCommand("copy"));
  });
}

if (data.offered.length < data.axis.steps.length) {
  byId("thinned").textContent = `The slider offers ${data.offered.length} of ${data.axis.steps.length} observations: the first, the last, ` +
    "those on both sides of each onset, and others evenly spaced in log tokens. The curves show all.";
}
for (const mark of document.querySelectorAll(".mark")) {
  mark.classList.add("drawn");
  mark.append(svg("svg", { viewBox: "-1.3 -1.3 2.6 2.6", "aria-hidden": "true" }, marker(Number(mark.dataset.domain), 0, 0, 1, true)));
}
legend(byId("legend"));
controls();
timelinePanel(byId("timeline"));
levelsPanel(byId("levels"));
lossPanel(byId("loss"));
layersPanel(byId("layers"));
atlasPanel(byId("atlas"));
overlapPanel(byId("overlap"));
tasksPanel(byId("tasks"));
lesionsPanel(byId("lesions"));
competencePanels(byId("competence"));
besidePanels(byId("beside"));
copying();
change({});

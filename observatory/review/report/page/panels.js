// What each figure shows at the step and in the readout that are chosen.

const words = () => data.timeline.readouts[state.readout].words;
const names = () => data.domains.map((one) => ({ text: one.short, full: one.name }));
const largest = (values) => Math.max(0, ...values.flat(Infinity).filter((v) => v !== null).map(Math.abs)) || 1;

function timelinePanel(host) {
  const caption = frame(host, "", "");
  const shown = () => data.timeline.readouts[state.readout];
  const tell = (place) => data.domains.map((one, domain) => {
    const here = shown(), told = withInterval(here.index[domain][place], here.low && here.low[domain][place], here.high && here.high[domain][place]);
    const chance = here.chance ? `, label swaps up to ${number(here.chance[domain][place])}` : "";
    return `${one.name}: E ${told}${chance}${holding(domain, place)}`;
  });
  const chart = lineChart(host, () => ({
    label: `Emergence index of each domain over training, ${words()}`, unit: "emergence index E", height: 340, named: true,
    logarithmic: true, twins: shown().twins, tell,
    curves: data.domains.map((one, domain) => ({
      domain, values: shown().index[domain], low: shown().low && shown().low[domain], high: shown().high && shown().high[domain],
      chance: shown().chance && shown().chance[domain], floor: shown().floor && shown().floor[domain], full: shown().passes && shown().passes[domain],
    })),
  }));
  let readout = null;
  const update = () => {
    if (readout !== state.readout) chart.redraw(); else chart.moveCursor();
    readout = state.readout;
    caption.querySelector("strong").textContent = `E of each domain: ${words()}`;
    caption.querySelector(".more").textContent = explained();
  };
  watchers.push(update);
  tableOf(host, "E of each domain", () => [["observation", ...data.domains.map((one) => one.name)],
    ...data.axis.steps.map((_, place) => [when(place), ...tell(place).map((text, domain) => text.slice(data.domains[domain].name.length + 2))])]);
}
function explained() {
  const others = data.domains.filter((one) => one.readout !== null && one.readout !== state.readout);
  const told = others.map((one) => `${one.name} (${data.timeline.readouts[one.readout].words})`).join(", ");
  return (data.timeline.lacking ? `No verdict can be given: ${data.timeline.lacking}. ` : "") +
    "On families of stimuli not used to choose the region. Linear up to 0.2 where E exceeds 1, then logarithmic." +
    (told ? ` Verdicts are told of another readout for ${told}.` : "");
}
function holding(domain, place) {
  if (!data.timeline.holds) return "";
  const level = data.timeline.holds[domain][place];
  return level === null ? "" : level < 0 ? ", no level holds" : `, ${data.timeline.levels[level]} holds`;
}
function lossPanel(host) {
  if (!data.timeline.loss) return lacking(host, "Training loss", "The training loss was not recorded; a live run records it.");
  const values = data.timeline.loss;
  frame(host, "Training loss", "");
  const chart = lineChart(host, () => ({
    label: "Training loss", unit: "nats/token", height: 130, named: false, tell: (place) => [`training loss ${number(values[place], 3)}`],
    curves: [{ domain: null, values }],
  }));
  watchers.push(chart.moveCursor);
  tableOf(host, "training loss", () => [["observation", "nats/token"], ...values.map((value, place) => [when(place), number(value, 3)])]);
}
function layersPanel(host) {
  if (data.layers.lacking) return lacking(host, "Layer map", data.layers.lacking);
  const caption = frame(host, "Layer map", ""), layerOf = data.layers.names, last = layerOf.length - 1;
  const value = (row, domain) => data.layers.values[state.readout][state.stop][last - row][domain];
  const most = () => largest(data.layers.values[state.readout]);
  const redraw = gridChart(host, () => ({
    label: `E within each layer, ${words()}, at ${when(now())}`, kind: "signed", most: most(), value, columns: names(), widest: 110,
    rows: [...layerOf].reverse().map((layer) => ({ text: layer, full: `layer ${layer}` })), tall: Math.max(5, Math.min(26, 420 / layerOf.length)),
    tell: (row, domain) => [`${data.domains[domain].name}, layer ${layerOf[last - row]}`, `E within the layer: ${number(value(row, domain), 3)}`, when(now())],
  }));
  const key = html("div");
  host.append(key);
  const update = () => {
    redraw();
    key.replaceChildren(shades(most(), "signed", "E within the layer; one scale for all steps"));
    caption.querySelector(".more").textContent = `E of regions chosen within one layer, the last layer on top; ${words()}.`;
  };
  watchers.push(update);
  tableOf(host, "E within layers", () => [["layer", ...data.domains.map((one) => one.name)],
    ...data.layers.values[state.readout][state.stop].map((row, layer) => [layerOf[layer], ...row.map((v) => number(v, 3))])]);
}
function overlapPanel(host) {
  if (data.overlap.lacking) return lacking(host, "Overlap of regions", data.overlap.lacking);
  const caption = frame(host, "Overlap of regions", "");
  const value = (one, other) => one === other ? undefined : data.overlap.values[state.readout][state.stop][one][other];
  const told = (one, other) => one === other ? "a region with itself" : `overlap above chance: ${number(value(one, other), 3)}`;
  const apart = () => data.overlap.values[state.readout].map((step) => step.map((row, r) => row.filter((_, c) => r !== c)));
  const most = () => Math.max(0.1, largest(apart())); // shades of next to nothing would look like much
  const redraw = gridChart(host, () => ({
    label: `Overlap of the regions of every two domains, ${words()}, at ${when(now())}`, kind: "signed", most: most(), value, rows: names(), columns: names(),
    tell: (one, other) => [`${data.domains[one].name} and ${data.domains[other].name}`, told(one, other), when(now())],
  }));
  const key = html("div");
  host.append(key);
  watchers.push(() => {
    redraw();
    key.replaceChildren(shades(most(), "signed", "Jaccard coefficient above chance"));
    caption.querySelector(".more").textContent = `Units that the regions of two domains share: 1 when equal, about 0 by chance; ${words()}.`;
  });
  tableOf(host, "overlap of regions", () => [["domain", ...data.domains.map((one) => one.name)],
    ...data.domains.map((one, r) => [one.name, ...data.domains.map((_, c) => r === c ? "itself" : number(value(r, c), 3))])]);
}
function tasksPanel(host) {
  const found = data.tasks;
  if (found.lacking) return lacking(host, "Overlap of tasks", found.lacking);
  const caption = frame(host, "Overlap of tasks' circuits", ""), place = () => latest(found.at);
  const value = (one, other) => one === other ? undefined : place() < 0 ? null : found.values[place()][one][other];
  const told = (one, other) => one === other ? "a task with itself" : value(one, other) === null ? "not both done" : `overlap above chance: ${number(value(one, other), 3)}`;
  const most = largest(found.values.map((step) => step.map((row, r) => row.filter((_, c) => r !== c))));
  const starts = found.owners.map((owner, number) => number && owner === found.owners[number - 1] ? null : number).filter((start) => start !== null);
  const blocks = starts.map((from, number) => ({ from, to: starts[number + 1] ?? found.tasks.length }));
  const redraw = gridChart(host, () => ({
    label: `Overlap of the circuits of every two tasks${place() < 0 ? "" : `, ${when(found.at[place()])}`}`, kind: "much", most, value, blocks, names: "none",
    widest: 26, rows: found.tasks.map((task, number) => ({ text: task, full: `${found.owners[number]}/${task}` })), columns: found.tasks.map((task) => ({ text: task })),
    tell: (one, other) => [`${found.owners[one]}/${found.tasks[one]}`, `${found.owners[other]}/${found.tasks[other]}`, told(one, other)],
  }));
  host.append(shades(most, "much", "overlap above chance; squares are domains, hatched where a task is not done"));
  watchers.push(() => {
    redraw();
    const share = `Circuits are ${found.choice}.`;
    caption.querySelector(".more").textContent = place() < 0 ? `Circuits were not looked for up to this step. ${share}` :
      `At ${when(found.at[place()])}: ${found.done[place()]} of ${found.tasks.length} tasks done; ${found.said[place()]}. ${share}`;
  });
  tableOf(host, "overlap of tasks", () => [["task", ...found.tasks], ...found.tasks.map((task, r) => [task, ...found.tasks.map((_, c) => r === c ? "itself" : number(value(r, c), 3))])]);
}
function lesionsPanel(host) {
  const found = data.lesions;
  if (found.lacking) return lacking(host, "Lesion matrix", found.lacking);
  const caption = frame(host, "Lesion matrix", ""), place = () => latest(found.at);
  const updates = found.measures.map((measure) => lesionMatrix(host, found, measure, place));
  watchers.push(() => {
    for (const update of updates) update();
    caption.querySelector(".more").textContent = (place() < 0 ? "No lesions were made up to this step. " : `At ${when(found.at[place()])}. `) +
      "A row a region, a column the domain that feels its lesion; mean of random masks in the same layers less the region. " +
      `● counts: surely above ${found.criteria.margin} nats, or ${found.criteria.loss} nats/token, and beyond what random masks do. Hatched: can't say.`;
  });
}
function lesionMatrix(host, found, measure, place) {
  const labels = found.regions.map((full, number) => ({ text: found.shorts[number], full }));
  const get = (name, one, other) => place() < 0 ? null : measure[name][place()][one][other];
  const most = largest(measure.effect), decimals = most < 0.2 ? 3 : 2;
  const value = (one, other) => get("effect", one, other);
  const told = (one, other) => value(one, other) === null ? `can't say: ${place() < 0 ? "no lesions yet" : measure.unsaid[place()][one] || "not measured"}`
    : `${withInterval(value(one, other), get("low", one, other), get("high", one, other), 3)} ${measure.unit}${get("counts", one, other) ? ", counts" : ", does not count"}`;
  host.append(html("p", { class: "small" }, `${measure.name} (${measure.unit})`));
  const box = html("div");
  host.append(box);
  const redraw = gridChart(box, () => ({
    label: `Effects of lesions on ${measure.name.toLowerCase()}`, kind: "signed", most, decimals, value, rows: labels, columns: labels,
    counts: (one, other) => get("counts", one, other), tell: (one, other) => [`lesion of ${found.regions[one]}, felt by ${found.regions[other]}`, told(one, other)],
  }));
  host.append(shades(most, "signed", `${measure.unit}; red: the region's lesion hurts more`, decimals));
  tableOf(host, `effects on ${measure.name.toLowerCase()}`, () => [["region", ...found.regions], ...found.regions.map((region, one) => [region, ...found.regions.map((_, other) => told(one, other))])]);
  return redraw;
}
function competencePanels(host) {
  const found = data.competence;
  if (found.lacking) return host.append(html("p", { class: "lacking" }, found.lacking));
  const domains = found.domains.map((name) => data.domains.findIndex((one) => one.name === name));
  for (const measure of found.measures) {
    const figure = html("figure");
    host.append(figure);
    frame(figure, measure.name, "");
    const tell = (place) => {
      const number = found.at.indexOf(place);
      return number < 0 ? ["not measured at this observation"] : found.domains.map((name, domain) =>
        `${name}: ${withInterval(measure.index[domain][number], measure.low[domain][number], measure.high[domain][number])} ${measure.unit}`);
    };
    const chart = lineChart(figure, () => ({
      label: `${measure.name} of each domain over training`, unit: measure.unit, height: 230, named: true, twins: measure.twins, chance: measure.chance, places: found.at, tell,
      ...(measure.unit === "share of pairs" ? { least: 0, most: 1 } : {}),
      curves: domains.map((domain, row) => ({ domain, values: measure.index[row], low: measure.low[row], high: measure.high[row] })),
    }));
    watchers.push(chart.moveCursor);
    tableOf(figure, measure.name.toLowerCase(), () => [["observation", ...found.domains], ...found.at.map((place) => [when(place), ...tell(place)])]);
  }
}
function besidePanels(host) {
  for (const one of data.beside) {
    const figure = html("figure"), name = one.name;
    host.append(figure);
    const caption = frame(figure, name, ""), told = (number) => withInterval(one.values[number], one.low && one.low[number], one.high && one.high[number], one.decimals);
    const tell = (place) => [one.at.includes(place) ? `${name}: ${told(one.at.indexOf(place))}` : "not measured at this observation"];
    const chart = lineChart(figure, () => ({
      label: `${name} over training`, unit: "", height: 110, named: false, twins: one.twins, places: one.at, tell, least: one.limits[0], most: one.limits[1],
      curves: [{ domain: null, values: one.values, low: one.low, high: one.high }],
    }));
    watchers.push(() => {
      const number = latest(one.at);
      chart.moveCursor();
      caption.querySelector(".more").textContent = number < 0 ? "not measured up to this step" : `${told(number)} at ${when(one.at[number])}`;
    });
    tableOf(figure, name, () => [["observation", "value"], ...one.at.map((place, number) => [when(place), told(number)])]);
  }
}

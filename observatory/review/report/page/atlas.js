// The units of each layer, coloured by the domain whose region they lie in.

function atlasPanel(host) {
  if (data.atlas.lacking) return lacking(host, "Region atlas", data.atlas.lacking);
  const layers = data.atlas.layers, named = (domain) => data.domains[domain].name;
  const shown = () => data.atlas.readouts[state.readout];
  const cells = () => Math.ceil(shown().units / shown().each);
  const letters = () => shown().steps[state.stop];
  const caption = frame(host, "Region atlas", "");
  const picture = svg("svg", { tabindex: 0, role: "application", "aria-roledescription": "map" });
  host.append(picture);
  let at = [0, 0], map = null;
  const tell = (layer, cell) => {
    const meaning = data.atlas.codes[letters()[layer * cells() + cell]], each = shown().each, first = cell * each;
    if (each === 1) return [`layer ${layers[layer]}, unit ${first}`, meaning.length ? `in the region of ${meaning.map(named).join(", ")}` : "in no region"];
    const last = Math.min(first + each, shown().units) - 1, place = `layer ${layers[layer]}, units ${first} to ${last}`;
    if (!meaning.length) return [place, "none in a region"];
    const dense = data.atlas.dense, most = dense[meaning[2] + 1];
    return [place, `most of those in a region: ${named(meaning[0])}`, `${100 * dense[meaning[2]]}% to ${most === undefined ? 100 : 100 * most}% of these units`];
  };
  const draw = (width) => {
    const text = letters(), count = cells(), left = 34, wide = (width - left - 2) / count;
    const tall = Math.max(5, Math.min(20, 420 / layers.length)), height = 4 + tall * layers.length + 20;
    map = { left, wide, tall };
    caption.querySelector(".more").textContent = (shown().each === 1 ? `Each column is a unit of ${shown().units} in a layer` :
      `Each column is ${shown().each} of ${shown().units} units in a layer, in the colour of the domain that has most of them, the darker the more`) +
      `; conjunction regions of ${data.timeline.readouts[state.readout].words}.`;
    picture.replaceChildren();
    fill(picture, { viewBox: `0 0 ${width} ${height}`, height, "aria-label": "Units of each layer that lie in a region. Arrow left and right go to the next unit in a region, up and down to another layer." }, []);
    layers.forEach((layer, row) => {
      const y = yOf(row);
      if (row % Math.ceil(11 / tall) === 0) picture.append(svg("text", { class: "dim", x: left - 6, y: y + tall / 2 + 4, "text-anchor": "end" }, layer));
      picture.append(svg("rect", { class: "row", x: left, width: wide * count, y, height: tall - 1 }));
      for (let cell = 0; cell < count; cell++) {
        const meaning = data.atlas.codes[text[row * count + cell]];
        if (meaning.length) drawUnit(picture, meaning, left + cell * wide, y, wide, tall - 1);
      }
    });
    picture.append(svg("text", { class: "dim", x: left + wide * count / 2, y: height - 4, "text-anchor": "middle" }, "unit, a row a layer"));
    map.pick = svg("rect", { class: "pick", width: Math.max(wide, 3), height: tall - 1, visibility: "hidden" });
    picture.append(map.pick);
  };
  const yOf = (row) => 2 + map.tall * (layers.length - 1 - row);
  const point = (layer, cell, x, y) => {
    fill(map.pick, { x: map.left + cell * map.wide, y: yOf(layer), visibility: "visible" }, []);
    showTip(tell(layer, cell), x, y);
  };
  const leave = () => { if (map) map.pick.setAttribute("visibility", "hidden"); hideTip(); };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect(), view = picture.viewBox.baseVal.width / box.width;
    const layer = layers.length - 1 - Math.floor(((event.clientY - box.top) * view - 2) / map.tall);
    const cell = Math.floor(((event.clientX - box.left) * view - map.left) / map.wide);
    if (layer < 0 || layer >= layers.length || cell < 0 || cell >= cells()) leave();
    else point(layer, cell, event.clientX, event.clientY);
  });
  picture.addEventListener("pointerleave", leave);
  picture.addEventListener("blur", leave);
  picture.addEventListener("keydown", (event) => {
    const along = { ArrowRight: 1, ArrowLeft: -1 }[event.key], up = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!along && !up) return;
    event.preventDefault();
    at = [Math.max(0, Math.min(layers.length - 1, at[0] + (up || 0))), Math.min(at[1], cells() - 1)];
    const filled = (cell) => data.atlas.codes[letters()[at[0] * cells() + cell]].length;
    let cell = at[1] + (along || 0);
    while (along && cell >= 0 && cell < cells() && !filled(cell)) cell += along;
    if (cell >= 0 && cell < cells()) at[1] = cell;
    const box = picture.getBoundingClientRect(), view = picture.viewBox.baseVal.width / box.width;
    point(at[0], at[1], box.left + (map.left + at[1] * map.wide) / view, box.top + yOf(at[0]) / view);
    say(tell(at[0], at[1]));
  });
  watchers.push(drawn(host, draw));
  if (!data.atlas.counts) return;
  tableOf(host, "units of each region by layer", () => [["layer", ...data.domains.map((one) => one.name)],
    ...data.atlas.counts[state.readout][state.stop].map((row, layer) => [layers[layer], ...row.map((units) => number(units, 0))])]);
}
// A unit of several regions has a part for each; a cell of several units is as dark as it is dense.
function drawUnit(picture, meaning, x, y, wide, tall) {
  const dense = meaning[1] === -1, owners = dense ? meaning.slice(0, 1) : meaning, part = tall / owners.length;
  const width = dense ? wide : Math.max(wide, 1.6);
  owners.forEach((domain, number) => picture.append(svg("rect", { class: `cell own d${domain}`, x: x.toFixed(2), width: width.toFixed(2),
    y: (y + number * part).toFixed(2), height: part.toFixed(2), "fill-opacity": dense ? [0.3, 0.55, 0.8, 1][meaning[2]] : 1 })));
}

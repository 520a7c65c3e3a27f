// Curves over training: hover, or the arrow keys, tell the values at an observation; Enter or a click takes the slider there.

function runs(values) {
  const found = [];
  let open = null;
  values.forEach((value, place) => {
    if (value === null || value === undefined) open = null;
    else if (open) open.push(place);
    else found.push(open = [place]);
  });
  return found;
}
function path(points) { return "M" + points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L"); }

// spec() gives: label, unit, height, named, logarithmic, top and least of the axis where they are set, twins, chance,
// places (of the values among all observations), curves of {domain, values, low, high, chance, floor, full}, tell(place).
function lineChart(host, spec) {
  let at = data.axis.steps.length - 1, marks = null;
  const picture = svg("svg", { tabindex: 0, role: "slider", "aria-orientation": "horizontal" });
  host.append(picture);
  const describe = (one) => {
    picture.setAttribute("aria-valuemin", 0);
    picture.setAttribute("aria-valuemax", data.axis.steps.length - 1);
    picture.setAttribute("aria-valuenow", at);
    picture.setAttribute("aria-valuetext", [when(at), ...one.tell(at)].join("; "));
  };
  const draw = (width) => {
    const one = spec(), bottom = one.height - (one.named ? 38 : 8), across = acrossScale(width);
    const range = one.curves.flatMap((curve) => [curve.values, curve.low, curve.high, curve.chance].flat());
    const all = [...range, ...(one.twins || []), ...one.curves.map((curve) => curve.floor)].filter((v) => v !== null && v !== undefined);
    let low = one.least ?? Math.min(0, ...all), high = one.most ?? Math.max(0.3, ...all);
    const room = one.least === undefined ? 0.04 * (high - low) : 0;
    [low, high] = [low - room, high + room];
    const logarithmic = one.logarithmic && high > 1;
    const up = upScale(low, high, 12, bottom, logarithmic);
    picture.replaceChildren();
    fill(picture, { viewBox: `0 0 ${width} ${one.height}`, height: one.height, "aria-label": `${one.label}. Arrow keys move through the observations, Enter sets the step.` }, []);
    if (one.twins && one.twins[0] !== null) {
      const [a, b] = one.twins.map(up);
      picture.append(svg("rect", { class: "twins", x: LEFT, width: width - LEFT - RIGHT, y: Math.max(b, 12), height: Math.max(1, Math.min(a, bottom) - Math.max(b, 12)) }));
    }
    drawUp(picture, up, low, high, width, logarithmic);
    if (one.chance !== undefined && one.chance !== null) {
      picture.append(svg("line", { class: "chance", x1: LEFT, x2: width - RIGHT, y1: up(one.chance), y2: up(one.chance) }));
    }
    drawAcross(picture, across, width, bottom, one.named);
    picture.append(svg("text", { class: "dim", x: 13, y: bottom / 2, "text-anchor": "middle", transform: `rotate(-90 13 ${bottom / 2})` }, one.unit));
    const spot = (number) => across.of(one.places ? one.places[number] : number);
    for (const curve of one.curves) drawCurve(picture, curve, spot, up, width);
    drawFlags(picture, across);
    marks = { across, cursor: svg("line", { class: "cursor", y1: 6, y2: bottom }), over: svg("line", { class: "over", y1: 6, y2: bottom, visibility: "hidden" }) };
    picture.append(marks.cursor, marks.over);
    moveCursor();
    describe(one);
  };
  const moveCursor = () => {
    if (!marks) return;
    fill(marks.cursor, { x1: marks.across.of(now()), x2: marks.across.of(now()) }, []);
  };
  const point = (place, x, y) => {
    const one = spec(), across = marks.across.of(place);
    fill(marks.over, { x1: across, x2: across, visibility: "visible" }, []);
    showTip([when(place), ...one.tell(place)], x, y);
  };
  const leave = () => { if (marks) marks.over.setAttribute("visibility", "hidden"); hideTip(); };
  const placeUnder = (event) => {
    const box = picture.getBoundingClientRect(), view = picture.viewBox.baseVal.width / box.width;
    return marks.across.nearest((event.clientX - box.left) * view);
  };
  picture.addEventListener("pointermove", (event) => point(placeUnder(event), event.clientX, event.clientY));
  picture.addEventListener("pointerleave", leave);
  picture.addEventListener("click", (event) => change({ stop: nearestStop(placeUnder(event)) }));
  picture.addEventListener("blur", leave);
  picture.addEventListener("keydown", (event) => {
    const last = data.axis.steps.length - 1;
    const moved = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: last }[event.key];
    if (event.key === "Enter") change({ stop: nearestStop(at) });
    if (moved === undefined) return;
    event.preventDefault();
    at = Math.max(0, Math.min(last, moved));
    describe(spec());
    const box = picture.getBoundingClientRect();
    point(at, box.left + marks.across.of(at) * box.width / picture.viewBox.baseVal.width, box.top + 30);
  });
  return { redraw: drawn(host, draw), moveCursor };
}
function drawCurve(picture, curve, spot, up, width) {
  const style = curve.domain === null ? "" : ` d${curve.domain}`;
  for (const run of runs(curve.values)) {
    const points = run.map((place) => [spot(place), up(curve.values[place])]);
    const bounded = curve.low && run.every((place) => curve.low[place] !== null);
    if (bounded && run.length > 1) {
      const outline = [...run.map((p) => [spot(p), up(curve.high[p])]), ...[...run].reverse().map((p) => [spot(p), up(curve.low[p])])];
      picture.append(svg("path", { class: `band${style}`, d: path(outline) + "Z" }));
    } else if (bounded) {
      picture.append(svg("line", { class: `whisker${style}`, x1: spot(run[0]), x2: spot(run[0]), y1: up(curve.low[run[0]]), y2: up(curve.high[run[0]]) }));
    }
    if (run.length === 1 && curve.domain === null) picture.append(svg("circle", { class: "plain", cx: spot(run[0]), cy: up(curve.values[run[0]]), r: 2 }));
    if (run.length > 1) picture.append(svg("path", { class: (curve.domain === null ? "plain" : "line") + style, d: path(points) }));
  }
  for (const run of curve.chance ? runs(curve.chance) : []) {
    const points = run.map((place) => [spot(place), up(curve.chance[place])]);
    if (points.length > 1) picture.append(svg("path", { class: `chance${style}`, d: path(points) }));
  }
  if (curve.floor !== undefined && curve.floor !== null) {
    picture.append(svg("line", { class: `floor${style}`, x1: LEFT, x2: width - RIGHT, y1: up(curve.floor), y2: up(curve.floor) }));
  }
  if (curve.domain === null) return;
  let last = -Infinity; // markers that would lie over each other are left out, but never where no line is
  for (const run of runs(curve.values)) {
    for (const place of run) {
      const x = spot(place);
      if (run.length > 1 && x - last < 11) continue;
      picture.append(marker(curve.domain, x, up(curve.values[place]), 3.4, curve.full && curve.full[place]));
      last = x;
    }
  }
}
// Crosses for what is missing, exclamation marks for what the doctor doubts.
function drawFlags(picture, across) {
  for (const [flags, sign] of [[data.axis.missed, "×"], [data.axis.doubted, "!"]]) {
    for (const flag of flags) {
      picture.append(svg("text", { x: across.at(flag.at), y: 10, "text-anchor": "middle", "font-weight": 700 }, sign, svg("title", {}, flag.text)));
    }
  }
}

// Where values lie on a chart.

const LEFT = 58, RIGHT = 14;
const TICKS = [-10, -5, -2, -1, -0.5, -0.2, 0, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100];
const LINEAR = 0.2; // up to here the axis of E is linear, where an index is above 1

function acrossScale(width) {
  const [low, high] = data.axis.limits;
  const at = (position) => LEFT + (position - low) / (high - low) * (width - LEFT - RIGHT);
  const positions = data.axis.positions;
  const nearest = (x) => {
    let best = 0;
    for (let place = 1; place < positions.length; place++) {
      if (Math.abs(at(positions[place]) - x) < Math.abs(at(positions[best]) - x)) best = place;
    }
    return best;
  };
  return { at, of: (place) => at(positions[place]), nearest };
}
function upScale(low, high, top, bottom, logarithmic) {
  const bend = 0.9 / Math.LN10;
  const shape = (v) => !logarithmic ? v
    : Math.abs(v) <= LINEAR ? v / LINEAR * bend : Math.sign(v) * (bend + Math.log10(Math.abs(v) / LINEAR));
  const first = shape(low), last = shape(high);
  return (value) => bottom - (shape(value) - first) / (last - first || 1) * (bottom - top);
}
function ticksBetween(low, high, logarithmic) {
  if (logarithmic) return TICKS.filter((tick) => tick >= low && tick <= high);
  const raw = (high - low) / 4, power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= raw);
  const found = [];
  for (let place = Math.ceil(low / step); place * step <= high + 1e-9; place++) found.push(Number((place * step).toPrecision(6)));
  return found;
}
// The axis of tokens, thinned out where its labels would touch.
function drawAcross(picture, scale, width, bottom, named) {
  picture.append(svg("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: bottom, y2: bottom }));
  let last = -Infinity;
  for (const tick of data.axis.ticks) {
    const x = scale.at(tick.at);
    picture.append(svg("line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 4 }));
    if (!named || x - last < 34) continue;
    picture.append(svg("text", { class: "dim", x, y: bottom + 17, "text-anchor": "middle" }, tick.text));
    last = x;
  }
  if (named) {
    const middle = (LEFT + width - RIGHT) / 2;
    picture.append(svg("text", { class: "dim", x: middle, y: bottom + 33, "text-anchor": "middle" }, `${data.axis.label} (log scale)`));
  }
}
function drawUp(picture, up, low, high, width, logarithmic) {
  for (const tick of ticksBetween(low, high, logarithmic)) {
    const y = up(tick);
    picture.append(
      svg("line", { class: tick === 0 ? "zero" : "gridline", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
      svg("text", { class: "dim", x: LEFT - 6, y: y + 4, "text-anchor": "end" }, String(tick).replace("-", "−")));
  }
}
const SHAPES = {
  o: "M-1 0A1 1 0 1 0 1 0A1 1 0 1 0-1 0Z", s: "M-.9-.9H.9V.9H-.9Z", "^": "M0-1.1L1.1.9H-1.1Z", v: "M0 1.1L1.1-.9H-1.1Z",
  D: "M0-1.2L1.2 0L0 1.2L-1.2 0Z", P: "M-.4-1.1H.4V-.4H1.1V.4H.4V1.1H-.4V.4H-1.1V-.4H-.4Z", ">": "M1.1 0L-.9 1.1V-1.1Z",
  "<": "M-1.1 0L.9 1.1V-1.1Z", X: "M-1.1-.6L-.6-1.1L0-.5L.6-1.1L1.1-.6L.5 0L1.1.6L.6 1.1L0 .5L-.6 1.1L-1.1.6L-.5 0Z",
  h: "M0-1.1L1-.55V.55L0 1.1L-1 .55V-.55Z",
};
function marker(domain, x, y, size, full) {
  const path = SHAPES[data.domains[domain].marker] || SHAPES.o;
  return svg("path", { class: `dot d${domain}${full ? " full" : ""}`, d: path, "stroke-width": 1.4 / size,
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) scale(${size})`, "vector-effect": "non-scaling-stroke" });
}

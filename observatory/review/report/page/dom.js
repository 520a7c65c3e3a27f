"use strict";
// Elements are made of nodes and text alone: no name from a file is ever read as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}
const html = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

function number(value, decimals = 2) {
  if (value === null || value === undefined) return "missing";
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}
// As many letters as fit into so many pixels, of a long name the beginning and the end.
function fitting(text, pixels) {
  const letters = Math.max(4, Math.floor(pixels / 7)), half = Math.floor((letters - 1) / 2);
  return text.length <= letters ? text : `${text.slice(0, half)}…${text.slice(-half)}`;
}
function withInterval(value, low, high, decimals = 2) {
  if (value === null || value === undefined) return "missing";
  const known = low !== null && low !== undefined && high !== null && high !== undefined;
  return number(value, decimals) + (known ? ` [${number(low, decimals)}, ${number(high, decimals)}]` : "");
}
function human(count) {
  let size = count;
  for (const unit of ["", "K", "M", "B"]) {
    if (size < 999.5) return size.toFixed(!unit || size >= 99.95 ? 0 : 1) + unit;
    size /= 1000;
  }
  return `${size.toFixed(1)}T`;
}
function when(place) {
  const tokens = data.axis.tokens;
  return `step ${data.axis.steps[place]}` + (tokens.length ? `, ${human(tokens[place])} tokens` : "");
}

// What the panels show at the moment, and who is to be told when it changes.
const state = { stop: data.offered.length - 1, readout: data.chosen };
const watchers = [];
const now = () => data.offered[state.stop];
function change(values) {
  Object.assign(state, values);
  for (const watcher of watchers) watcher();
}
function nearestStop(place) {
  const at = data.axis.positions;
  let best = 0;
  data.offered.forEach((one, stop) => {
    if (Math.abs(at[one] - at[place]) < Math.abs(at[data.offered[best]] - at[place])) best = stop;
  });
  return best;
}
// Of places among all observations, the last that is not after the step shown; -1 if all are.
function latest(places) {
  let found = -1;
  places.forEach((place, number) => { if (place <= now()) found = number; });
  return found;
}

const tip = byId("tip");
function showTip(lines, x, y) {
  tip.textContent = lines.join("\n");
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 14 + box.width > innerWidth ? x - 14 - box.width : x + 14;
  tip.style.left = `${Math.max(4, Math.min(left, innerWidth - box.width - 4))}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 14, innerHeight - box.height - 4))}px`;
}
function hideTip() { tip.hidden = true; }
function say(lines) { byId("said").textContent = lines.join("; "); }

// A figure: its heading, the drawing, and a table of the same values that is made when it is opened.
function frame(host, heading, more) {
  const caption = html("figcaption", {}, html("strong", {}, heading), html("span", { class: "more" }, more || ""));
  host.replaceChildren(caption);
  return caption;
}
function lacking(host, heading, reason) {
  frame(host, heading).append(html("p", { class: "lacking" }, reason));
}
function tableOf(host, name, rows) {
  const inside = html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Table: ${name}` });
  const details = html("details", {}, html("summary", {}, `The same as a table: ${name}`), inside);
  const write = () => {
    if (!details.open) return;
    const [head, ...body] = rows();
    inside.replaceChildren(html("table", {},
      html("thead", {}, html("tr", {}, ...head.map((text) => html("th", { scope: "col" }, text)))),
      html("tbody", {}, ...body.map((row) => html("tr", {}, ...row.map((text, place) =>
        place ? html("td", {}, text) : html("th", { scope: "row" }, text)))))));
  };
  details.addEventListener("toggle", write);
  watchers.push(write);
  host.append(details);
}
// Draws at the width that there is, and again when that or what is shown changes.
function drawn(host, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (host.clientWidth && host.clientWidth !== width) { width = host.clientWidth; draw(width); }
  }).observe(host);
  return () => { if (width) draw(width); };
}

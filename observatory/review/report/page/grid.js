// A matrix of coloured cells. Hover tells a cell's values; with the focus on it, so do the arrow keys.

// spec() gives: label, rows and columns (of {text, full}), most, kind ("signed" or "much"), value(r, c), tell(r, c),
// decimals of what stands in a cell, and optionally counts(r, c), gone(r, c), blocks (of {from, to}), names: "none" for columns without room.
function gridChart(host, spec) {
  let at = [0, 0], grid = null;
  const picture = svg("svg", { tabindex: 0, role: "application", "aria-roledescription": "matrix" });
  host.append(picture);
  const draw = (width) => {
    const one = spec();
    grid = layOut(one, width);
    at = [Math.min(at[0], one.rows.length - 1), Math.min(at[1], one.columns.length - 1)];
    picture.replaceChildren();
    fill(picture, { viewBox: `0 0 ${width} ${grid.height}`, height: grid.height, "aria-label": `${one.label}. Arrow keys move through the cells and read out their values.` }, []);
    one.rows.forEach((row, r) => one.columns.forEach((column, c) => drawCell(picture, grid, one, r, c)));
    drawNames(picture, grid, one);
    for (const block of one.blocks || []) {
      const size = block.to - block.from;
      picture.append(svg("rect", { class: "block", x: grid.left + block.from * grid.wide, y: grid.top + block.from * grid.tall, width: size * grid.wide, height: size * grid.tall }));
    }
    picture.append(svg("rect", { class: "frame", x: grid.left, y: grid.top, width: grid.wide * one.columns.length, height: grid.tall * one.rows.length }));
    grid.pick = svg("rect", { class: "pick", width: grid.wide, height: grid.tall, visibility: "hidden" });
    picture.append(grid.pick);
  };
  const point = (r, c, x, y) => {
    fill(grid.pick, { x: grid.left + c * grid.wide, y: grid.top + r * grid.tall, visibility: "visible" }, []);
    showTip(spec().tell(r, c), x, y);
  };
  const leave = () => { if (grid) grid.pick.setAttribute("visibility", "hidden"); hideTip(); };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect(), view = picture.viewBox.baseVal.width / box.width, one = spec();
    const r = Math.floor(((event.clientY - box.top) * view - grid.top) / grid.tall);
    const c = Math.floor(((event.clientX - box.left) * view - grid.left) / grid.wide);
    if (r < 0 || c < 0 || r >= one.rows.length || c >= one.columns.length) leave();
    else point(r, c, event.clientX, event.clientY);
  });
  picture.addEventListener("pointerleave", leave);
  picture.addEventListener("blur", leave);
  picture.addEventListener("keydown", (event) => {
    const one = spec(), move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!move) return;
    event.preventDefault();
    at = [Math.max(0, Math.min(one.rows.length - 1, at[0] + move[0])), Math.max(0, Math.min(one.columns.length - 1, at[1] + move[1]))];
    const box = picture.getBoundingClientRect(), view = picture.viewBox.baseVal.width / box.width;
    point(at[0], at[1], box.left + (grid.left + (at[1] + 1) * grid.wide) / view, box.top + (grid.top + at[0] * grid.tall) / view);
    say(one.tell(at[0], at[1]));
  });
  return drawn(host, draw);
}
function layOut(one, width) {
  const letters = Math.max(3, ...one.rows.map((row) => row.text.length));
  const left = Math.min(7.2 * letters + 12, 0.4 * width), count = one.columns.length;
  const wide = Math.min((width - left - 4) / count, one.widest || 74);
  const tall = one.tall || Math.max(5, Math.min(wide, 26));
  const turned = one.names !== "none" && Math.max(0, ...one.columns.map((column) => column.text.length)) * 7 > wide - 4;
  const below = one.names === "none" ? 6 : turned ? 10 + 6.6 * Math.max(...one.columns.map((column) => column.text.length)) : 22;
  return { left, top: 2, wide, tall, turned, height: 2 + tall * one.rows.length + below };
}
function drawCell(picture, grid, one, r, c) {
  const value = one.value(r, c), x = grid.left + c * grid.wide, y = grid.top + r * grid.tall;
  const place = { x: x.toFixed(2), y: y.toFixed(2), width: grid.wide.toFixed(2), height: grid.tall.toFixed(2) };
  if (value === null || value === undefined) { // null is not known, undefined says nothing by itself
    picture.append(svg("rect", { class: value === null ? "cell gone" : "row", ...place }));
    return;
  }
  const share = Math.min(1, Math.abs(value) / (one.most || 1)), shade = one.kind === "much" ? Math.sqrt(share) : share;
  const style = one.kind === "much" ? (value > 0 ? "much" : "none") : value >= 0 ? "pos" : "neg";
  if (style !== "none") picture.append(svg("rect", { class: `cell ${style}`, "fill-opacity": (0.95 * shade).toFixed(3), ...place }));
  if (grid.wide >= 38 && grid.tall >= 15) {
    const counts = one.counts && one.counts(r, c);
    picture.append(svg("text", { class: shade > 0.72 ? "strong" : "", x: x + grid.wide / 2, y: y + grid.tall / 2 + 4, "text-anchor": "middle", "font-weight": counts ? 700 : 400 },
      number(value, one.decimals) + (counts ? "●" : "")));
  }
}
function drawNames(picture, grid, one) {
  let last = -Infinity;
  one.rows.forEach((row, r) => {
    const y = grid.top + (r + 0.5) * grid.tall;
    if (!row.text || y - last < 11) return;
    picture.append(svg("text", { x: grid.left - 6, y: y + 4, "text-anchor": "end" }, fitting(row.text, grid.left - 8), svg("title", {}, row.full || row.text)));
    last = y;
  });
  if (one.names === "none") return;
  one.columns.forEach((column, c) => {
    const x = grid.left + (c + 0.5) * grid.wide, y = grid.top + grid.tall * one.rows.length + 15;
    const turn = grid.turned ? { "text-anchor": "end", transform: `rotate(-90 ${x + 4} ${y - 8})`, x: x + 4, y: y - 8 } : { "text-anchor": "middle", x, y };
    picture.append(svg("text", turn, column.text, svg("title", {}, column.full || column.text)));
  });
}
// What the shades mean, from the least to the most.
function shades(most, kind, unit, decimals) {
  const steps = kind === "much" ? [0, 0.25, 0.5, 0.75, 1] : [-1, -0.5, 0, 0.5, 1];
  const parts = steps.map((share) => {
    const style = kind === "much" ? "much" : share < 0 ? "neg" : "pos";
    const shade = kind === "much" ? Math.sqrt(share) : Math.abs(share);
    return html("span", {}, svg("svg", { viewBox: "0 0 20 10", "aria-hidden": "true" }, svg("rect", { class: "frame", width: 20, height: 10 }),
      svg("rect", { class: `cell ${style}`, width: 20, height: 10, "fill-opacity": 0.95 * shade })), number(share * most, decimals));
  });
  return html("div", { class: "legend shades" }, ...parts, html("span", {}, unit));
}

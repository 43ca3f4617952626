"use strict";

const figures = JSON.parse(document.getElementById("figures").textContent);

/** Puts the scheme's colours in place of "var(--name)", all the way down. */
function coloured(value, style) {
  if (typeof value === "string")
    return /^var\(--[a-z-]+\)$/.test(value) ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
  if (Array.isArray(value)) return value.map((item) => coloured(item, style));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, style)]));
}

function axis(own, colours) {
  return {
    gridcolor: colours.line, linecolor: colours.line, zerolinecolor: colours.line,
    automargin: true, fixedrange: colours.isTouch, ...own,
    title: { font: { size: 12, color: colours.muted }, standoff: 8, ...own.title },
  };
}

/** Leaves out labels of a class axis for which there is no room beside those of the other axis. */
function thinned(own, width) {
  const longest = Math.max(...own.ticktext.map((text) => text.length));
  const every = Math.ceil((own.tickvals.length * 13) / Math.max(100, width - 60 - 7 * longest));
  const keep = (list) => list.filter((_, place) => place % every === 0);
  return { ...own, tickvals: keep(own.tickvals), ticktext: keep(own.ticktext) };
}

/** Finds the figure of a plot: the one of its name, or the one that a menu beside it says. */
function figureOf(place) {
  const name = place.id.slice("plot-".length);
  const menu = document.querySelector(`select[data-draws="${name}"]`);
  return figures[menu ? menu.value : name];
}

/** Returns the labels of a figure as annotations, but those that would lie over another one. */
function annotated({ data, layout, labels }, width, height) {
  const scaled = (value, own) => own.type === "log" ? Math.log10(value) : value;
  const pixels = (letter, length) => {
    const values = data.flatMap((trace) => trace[letter]).map((value) => scaled(value, layout[`${letter}axis`]));
    return length / (Math.max(...values) - Math.min(...values) || 1);
  };
  const [across, up] = [pixels("x", width), pixels("y", height)];
  const kept = [];
  for (const { x, y, text } of [...labels].reverse()) {
    const one = { x: scaled(x, layout.xaxis), y: scaled(y, layout.yaxis), text };
    const hides = (other) => Math.abs(one.x - other.x) * across < 7 * Math.max(text.length, other.text.length)
      && Math.abs(one.y - other.y) * up < 16;
    if (!kept.some(hides)) kept.push(one);
  }
  return kept.map((one) => ({ ...one, showarrow: false, xanchor: "right", yanchor: "bottom", xshift: -3, yshift: 3, font: { size: 11 } }));
}

function draw(place) {
  const style = getComputedStyle(document.documentElement);
  const figure = coloured(figureOf(place), style);
  const { data, layout, square, height = 250 } = figure;
  const isTouch = matchMedia("(pointer: coarse)").matches;
  const colours = { isTouch, ...coloured({ line: "var(--line)", muted: "var(--muted)", ink: "var(--ink)", card: "var(--card)" }, style) };
  const width = place.clientWidth;
  const [x, y] = [layout.xaxis, layout.yaxis].map((own) => axis(square ? thinned(own, width) : own, colours));
  Plotly.react(place, data, {
    ...layout, xaxis: x, yaxis: square ? { ...y, scaleanchor: "x", constrain: "domain" } : y,
    width, height: square ? width : height,
    annotations: figure.labels && width > 480 ? annotated(figure, width - 54, height - 48) : [],
    margin: { l: 44, r: 10, t: 8, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colours.ink },
    hovermode: layout.hovermode ?? "x unified",
    hoverlabel: { bgcolor: colours.card, bordercolor: colours.line, font: { color: colours.ink } },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    dragmode: isTouch ? false : "zoom",
  }, { displayModeBar: false });
}

function drawAll() { document.querySelectorAll(".plot").forEach(draw); }

/** Makes the heads of a table sort its rows: numbers from the smallest, names from A. */
function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const text = (row) => row.cells[column].textContent;
      const number = (row) => parseFloat(text(row).replaceAll(",", ""));
      const isNumeric = head.classList.contains("number");
      const order = (a, b) => isNumeric
        ? (isNaN(number(a)) - isNaN(number(b))) || (number(a) - number(b) || 0)
        : text(a).localeCompare(text(b), undefined, { numeric: true });
      const rows = [...table.tBodies[0].rows].sort(order);
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
    });
  });
}

document.querySelectorAll("[data-sortable] table").forEach(makeSortable);
document.querySelectorAll(".mistakes img").forEach((image) =>
  image.decode().then(() => image.classList.toggle("small", image.naturalWidth < 64), () => {}));
document.querySelectorAll("select[data-draws]").forEach((menu) =>
  menu.addEventListener("change", () => draw(document.getElementById(`plot-${menu.dataset.draws}`))));
drawAll();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
let pending;
addEventListener("resize", () => { clearTimeout(pending); pending = setTimeout(drawAll, 150); });

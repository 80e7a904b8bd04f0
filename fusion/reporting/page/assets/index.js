/** The index: a row for each clip and person; sorted by any column, searched, small curves drawn in sight. */

const data = JSON.parse(document.getElementById("data").textContent);
const SPARK = { width: 144, height: 30 };

const columns = [
  { name: "clip", text: (row) => row.video, link: true },
  { name: "person", text: (row) => row.person },
  { name: "length", value: (row) => row.seconds, text: (row) => clock(row.seconds, 0) },
  { name: "face seen", value: (row) => row.seen, text: (row) => percent(row.seen) },
  ...(data.rows.some((row) => row.quality !== null) ? [{ name: "quality", value: (row) => row.quality, text: (row) => number(row.quality) }] : []),
  ...data.scores.map((name) => ({ name, value: (row) => row.scores[name] ?? null, text: (row) => number(row.scores[name] ?? null) })),
];
let order = data.scores.length ? { column: columns.find((one) => one.name === data.scores[0]), up: true } : { column: columns[0], up: true };

/** Rows whose names hold all words that are searched for, in the order that was chosen. */
function shownRows() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = data.rows.filter((row) => words.every((word) => `${row.video} ${row.person}`.toLowerCase().includes(word)));
  const { column, up } = order, sign = up ? 1 : -1;
  return found.sort((a, b) => {
    if (!column.value) return sign * column.text(a).localeCompare(column.text(b), "en", { numeric: true });
    const [x, y] = [column.value(a), column.value(b)];
    if (x === null || y === null) return (x === null) - (y === null); // without a number: last
    return sign * (x - y);
  });
}

function sortBy(column) {
  order = { column, up: order.column === column ? !order.up : true };
  draw();
  say(`Sorted by ${column.name}, ${order.up ? "least" : "greatest"} first`);
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    watcher.unobserve(entry.target);
    paint(entry.target.firstChild, entry.target.spark);
  }
}, { rootMargin: "300px" });

function drawRow(row) {
  const cells = columns.map((column) => {
    const text = column.text(row);
    return el("td", { className: column.value ? "number" : "" }, column.link ? el("a", { href: row.page, textContent: text }) : text);
  });
  const sparks = el("td", { className: "sparks" });
  for (const spark of row.sparks) {
    const names = spark.curves?.map((one) => one.name).join(", ");
    const place = el("span", { title: names ? `${spark.title}: ${names}` : spark.title }, el("canvas", { role: "img", "aria-label": `${spark.title} over time`, style: { width: `${SPARK.width}px`, height: `${SPARK.height}px` } }));
    place.spark = spark;
    sparks.append(place);
    watcher.observe(place);
  }
  return el("tr", {}, ...cells, sparks);
}

function draw() {
  const heads = columns.map((column) => {
    const sorted = order.column === column ? (order.up ? "ascending" : "descending") : "none";
    const sign = sorted === "none" ? "" : order.up ? " ▲" : " ▼";
    return el("th", { scope: "col", "aria-sort": sorted, className: column.value ? "number" : "" }, button(`${column.name}${sign}`, `Sort by ${column.name}`, () => sortBy(column), { className: "link" }));
  });
  const rows = shownRows();
  byId("rows").replaceChildren(el("thead", {}, el("tr", {}, ...heads, el("th", { scope: "col", textContent: "curves" }))), el("tbody", {}, ...rows.map(drawRow)));
  const clips = new Set(rows.map((row) => row.video)).size;
  byId("facts").textContent = `${clips === 1 ? "1 clip" : `${clips} clips`}, ${rows.length === 1 ? "1 row" : `${rows.length} rows`}${data.scores.length ? "; scores are of each clip alone" : ""}`;
}

function paint(canvas, spark) {
  const ratio = devicePixelRatio || 1, { width, height } = SPARK, style = getComputedStyle(document.documentElement);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.fillStyle = style.getPropertyValue("--panel");
  pen.fillRect(0, 0, width, height);
  if (spark.ribbon) {
    const step = width / spark.ribbon.length;
    spark.ribbon.forEach((code, i) => {
      if (code === null) return;
      pen.fillStyle = spark.colours[code];
      pen.fillRect(i * step, 4, step + 0.5, height - 8);
    });
    return;
  }
  for (const curve of spark.curves) {
    const step = width / Math.max(curve.at.length - 1, 1);
    pen.strokeStyle = curve.colour;
    pen.globalAlpha = dark ? 1 : 0.9;
    pen.lineWidth = 1.2;
    pen.beginPath();
    curve.at.forEach((value, i) => value !== null && (i && curve.at[i - 1] !== null ? pen.lineTo(i * step, height - 2 - (value / 100) * (height - 4)) : pen.moveTo(i * step, height - 2 - (value / 100) * (height - 4))));
    pen.stroke();
  }
}

byId("title").textContent = data.title;
byId("search").addEventListener("input", draw);
draw();
requestAnimationFrame(() => setTimeout(() => (document.documentElement.dataset.opened = String(performance.now()))));

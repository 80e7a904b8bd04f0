/** Boxes, landmarks and the present state, drawn over the picture. */

/** Row of a person for the picture that is shown. */
function shownRow(person) {
  return rowAt(person, state.shown ?? state.time);
}

/** Places of a person at a row by column name, between those that are kept; null where not known. */
function placesAt(person, name, row) {
  const told = person.places[name], columns = told && columnsNow(told);
  if (!columns || row < 0) return null;
  const before = Math.floor(row / told.every), after = Math.min(before + 1, told.rows - 1), share = row / told.every - before;
  const found = columns.map((codes) => {
    const first = codes[before], next = codes[after] === MISSING ? first : codes[after];
    return first === MISSING ? null : told.start + (first + share * (next - first)) * told.step;
  });
  return found.some((value) => value === null) ? null : found;
}

/** What is said of a person at a row, in a few words. */
function stateAt(person, row) {
  const words = [];
  for (const lane of person.lanes) {
    if (words.length > 3) break;
    if (lane.kind === "classes") {
      const said = lane.columns.findIndex((column) => column.role === "said");
      const chosen = valueAt(lane.data, row, lane.columns[said]);
      const share = chosen === null ? null : valueAt(lane.data, row, lane.columns[chosen]);
      if (share !== null) words.push(`${lane.classes[chosen].name} ${percent(share)}`);
    } else if (lane.kind === "lines" && (lane.columns[0].low ?? 0) < 0 && !lane.columns[0].unit) {
      lane.columns.forEach((column, c) => {
        const value = column.role === "value" ? valueAt(lane.data, row, column) : null;
        if (value !== null) words.push(`${column.name} ${number(value)}`);
      });
    }
  }
  return words;
}

function drawPicture() {
  const canvas = player.picture;
  if (!canvas) return;
  const ratio = devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const draw = canvas.getContext("2d"), { clip } = data;
  draw.setTransform(ratio, 0, 0, ratio, 0, 0);
  draw.clearRect(0, 0, width, height);
  const scale = Math.min(width / clip.width, height / clip.height);
  for (const person of visiblePeople()) {
    const row = shownRow(person), box = placesAt(person, "box", row);
    if (box) drawBox(draw, person, box.map((value) => value * scale), row, width);
    const points = placesAt(person, "landmarks", row);
    if (points) drawPoints(draw, person, points.map((value) => value * scale));
  }
}

function drawBox(draw, person, [x0, y0, x1, y1], row, width) {
  draw.lineWidth = 4;
  draw.strokeStyle = "rgba(0, 0, 0, .45)";
  draw.strokeRect(x0, y0, x1 - x0, y1 - y0);
  draw.lineWidth = 2;
  draw.strokeStyle = onDark(person.colour);
  draw.strokeRect(x0, y0, x1 - x0, y1 - y0);
  const lines = [nameOf(person.id), ...stateAt(person, row)];
  draw.font = "600 11px system-ui, sans-serif";
  const wide = Math.max(...lines.map((line) => draw.measureText(line).width)) + 10, tall = 14 * lines.length + 5;
  const [left, top] = placeBeside([x0, y0, x1, y1], wide, tall, width, draw.canvas.clientHeight);
  draw.fillStyle = "rgba(12, 16, 20, .72)";
  draw.fillRect(left, top, wide, tall);
  draw.fillStyle = onDark(person.colour);
  draw.fillRect(left, top, 3, tall);
  lines.forEach((line, i) => {
    draw.fillStyle = i ? "#E6EDF3" : "#FFFFFF";
    draw.fillText(line, left + 7, top + 13 + 14 * i);
  });
}

/** Where a label of a box covers no face: over it, under it, at its sides, else in a corner. */
function placeBeside([x0, y0, x1, y1], wide, tall, width, height) {
  const left = Math.min(Math.max(x0 - 1, 0), Math.max(width - wide, 0)), middle = Math.min(Math.max(y0, 0), Math.max(height - tall, 0));
  if (y0 - tall >= 0) return [left, y0 - tall];
  if (y1 + tall <= height) return [left, y1];
  if (x1 + wide <= width) return [x1, middle];
  return [x0 - wide >= 0 ? x0 - wide : 0, x0 - wide >= 0 ? middle : 0];
}

function drawPoints(draw, person, points) {
  for (let i = 0; i + 1 < points.length; i += 2) {
    draw.beginPath();
    draw.arc(points[i], points[i + 1], 2.5, 0, 2 * Math.PI);
    draw.fillStyle = "#FFFFFF";
    draw.fill();
    draw.lineWidth = 1;
    draw.strokeStyle = "#000000";
    draw.stroke();
  }
}

/** A colour that is seen on dark ground. */
function onDark(colour) {
  return mixed(colour, "#FFFFFF", 0.3);
}

/** Two colours as #RRGGBB, `share` of the second. */
function mixed(first, second, share) {
  const [a, b] = [first, second].map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
  return `#${a.map((value, i) => Math.round(value * (1 - share) + b[i] * share).toString(16).padStart(2, "0")).join("")}`;
}

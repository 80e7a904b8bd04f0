/** The tracks of all people: an axis, the lanes, and over them cursor, selection and marks. */

const shownLanes = []; // { draw, restyle, node, visible, person, lane, values }
let drawing = false;

/** Draws what is in sight at the next picture of the screen. */
function redraw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const start = performance.now();
    for (const lane of shownLanes) {
      lane.stale = true;
      if (lane.visible) drawLane(lane);
    }
    placeMarks();
    state.drawn = performance.now() - start;
    emit("drawn");
    drawRest();
  });
}

/** Draws what is out of sight, lane by lane, once nothing has happened for a while. */
const QUIET = 400; // milliseconds
let waiting = 0, resting = null;
function drawRest() {
  clearTimeout(waiting);
  if (resting !== null) cancelIdleCallback(resting);
  waiting = setTimeout(restInTurn, QUIET);
}

function restInTurn() {
  resting = requestIdleCallback((idle) => {
    resting = null;
    for (const lane of shownLanes) {
      if (!lane.stale) continue;
      drawLane(lane);
      if (idle.timeRemaining() < 4) return restInTurn();
    }
    showValues(true);
  });
}

function drawLane(lane) {
  lane.stale = false;
  lane.draw();
}

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const lane = shownLanes.find((one) => one.node === entry.target);
    if (!lane) continue;
    lane.visible = entry.isIntersecting;
    if (lane.visible && lane.stale) drawLane(lane);
  }
}, { rootMargin: "120px" });

function addLane(place, parts, more = {}) {
  const lane = { stale: true, visible: false, ...parts, ...more };
  shownLanes.push(lane);
  place.append(lane.node);
  watcher.observe(lane.node);
  return lane;
}

function addCanvas(place, height, label, paint, more) {
  const { canvas, draw } = makeCanvas(height, label, paint);
  const node = el("div", { className: "lane plot" }, canvas);
  return addLane(place, { node, draw, restyle: () => {} }, more);
}

/** Builds all tracks anew: of the sound, and of each person that is shown. */
function buildTracks() {
  for (const lane of shownLanes) watcher.unobserve(lane.node);
  shownLanes.length = 0;
  const place = byId("tracks");
  place.replaceChildren();
  const shown = visiblePeople();
  place.className = state.beside && shown.length > 1 ? "tracks beside" : "tracks";
  if (data.sound) {
    const shared = trackFor(place, "shared", "Sound of the clip");
    addCanvas(shared, 22, "Time in minutes and seconds", paintAxis);
    addCanvas(shared, 48, "Loudness of the sound over time, and speech", paintSound);
  }
  shown.forEach((person) => buildPerson(place, person));
  if (!people.length) place.append(el("p", { textContent: "No predictions to show." }));
  else if (!shown.length) place.append(el("p", { className: "quiet", textContent: "Everybody is hidden; choose whom to show among the people." }));
  redraw();
}

function trackFor(place, name, label) {
  const marks = el("div", { className: "marks", "aria-hidden": "true" });
  const track = el("section", { className: `track ${name}`, "aria-label": label }, marks);
  track.marks = marks;
  place.append(track);
  return track;
}

function buildPerson(place, person) {
  const track = trackFor(place, "person", `Curves of ${nameOf(person.id)}`);
  track.dataset.person = person.id;
  track.person = person;
  track.append(el("h2", { style: { borderColor: person.colour } }, el("span", { className: "name", textContent: nameOf(person.id) }),
    el("span", { className: "quiet", textContent: ` face seen ${percent(person.seen)}${person.quality === null ? "" : `, quality ${number(person.quality)}`}` })));
  if (!person.times.length) {
    track.append(el("p", { className: "quiet", textContent: "No frames were predicted." }));
    return;
  }
  const below = data.sound && !place.classList.contains("beside") && place.querySelectorAll(".person").length === 1;
  if (!below) addCanvas(track, 22, "Time in minutes and seconds", paintAxis); // else that of the sound is right above
  addCanvas(track, 14, `Where the face of ${person.id} was seen`, (draw, width, height) => paintSeen(draw, person, width, height));
  const after = person.lanes.findIndex(({ kind }) => kind === "classes"); // events lie under the expressions
  if (after < 0) buildEvents(track, person);
  person.lanes.forEach((lane, i) => {
    buildLane(track, person, lane);
    if (i === after) buildEvents(track, person);
  });
}

const ORIGINS = { derived: "derived", measured: "measured", corrected: "corrected", uncertainty: "uncertainty" };

/** A place for a lane beneath its title, which folds it. */
function buildBlock(track, lane, told, badge = null) {
  const values = el("span", { className: "values" }), folded = state.folded.has(lane.key);
  const fold = button(folded ? "▸" : "▾", `${folded ? "Unfold" : "Fold"} ${lane.title}`, () => {
    if (folded) state.folded.delete(lane.key);
    else state.folded.add(lane.key);
    buildTracks();
  }, { className: "fold", "aria-expanded": String(!folded) });
  const title = el("h3", { title: told.join("\n") }, fold, lane.title, badge ? el("span", { className: "badge", textContent: badge }) : null);
  const head = el("div", { className: "head" }, title, values), block = el("div", { className: "block" }, head);
  track.append(block);
  return { block, values, folded };
}

function buildLane(track, person, lane) {
  const shown = lane.columns.filter((column) => column.role === "value"), origins = new Set(shown.map((column) => column.origin));
  const told = shown.map((column) => `${column.name}: ${column.meaning}${column.unit ? `, in ${column.unit}` : ""} (${column.origin})`);
  const { block, values, folded } = buildBlock(track, lane, told, origins.size === 1 ? ORIGINS[[...origins][0]] : null);
  const more = { person, lane, values };
  legend(lane, more);
  if (folded) return;
  if (lane.kind === "lines") {
    const parts = makeLines(person, lane, 84), node = el("div", { className: "lane plot" }, parts.node);
    addLane(block, { ...parts, node }, more);
  } else if (lane.kind === "heat") {
    const rows = lane.columns.filter((column) => column.role === "value").length;
    addCanvas(block, Math.max(48, rows * 13), `${lane.title} of ${person.id} as a heat map over time`, (draw, width, height) => paintRows(draw, person, lane, width, height), more);
  } else addCanvas(block, 96, `${lane.title} of ${person.id}, probabilities over time`, (draw, width, height) => paintClasses(draw, person, lane, width, height), more);
}

/** Names without the ending that all have in common, e.g. `_p`. */
function shortNames(columns) {
  const ending = columns[0]?.name.match(/_[a-z]+$/)?.[0];
  const common = ending && columns.every((column) => column.name.endsWith(ending));
  return columns.map((column) => (common ? column.name.slice(0, -ending.length) : column.name));
}

function paintRows(draw, person, lane, width, height) {
  const plot = width - GUTTER - RIGHT, rows = pixelRows(person, state.view, plot), series = shownSeries(lane);
  const share = (c) => {
    const column = lane.columns[c], low = column.low ?? 0, high = column.high ?? 1;
    return pixelMeans(lane.data, column.at, rows, column).map((value) => (value - low) / (high - low));
  };
  gutterText(draw, shortNames(series.map(({ index }) => lane.columns[index])), height);
  paintHeat(draw, series.map(({ index }) => share(index)), GUTTER, 0, plot, height);
  const tall = height / series.length;
  series.forEach((one, r) => {
    const column = lane.columns[one.index];
    if (one.truth >= 0) paintOn(draw, share(one.truth), 0.5, GUTTER, r * tall + tall - 3, theme.ink);
    if (column.threshold !== null) paintOn(draw, pixelMeans(lane.data, column.at, rows, column), column.threshold, GUTTER, r * tall + 1, theme.accent);
  });
  paintVeil(draw, person, GUTTER, 0, plot, height);
}

/** A thin line where values reach `from`. */
function paintOn(draw, values, from, left, top, colour) {
  draw.fillStyle = colour;
  for (let x = 0; x < values.length; x++) if (values[x] >= from) draw.fillRect(left + x, top, 1, 2);
}

function paintClasses(draw, person, lane, width, height) {
  const plot = width - GUTTER - RIGHT, rows = pixelRows(person, state.view, plot), count = lane.classes.length;
  const ribbons = lane.columns.flatMap((column, c) => (column.role === "value" ? [] : [c])), band = 11, top = ribbons.length * band + 3;
  const inks = lane.classes.map(({ colour }) => inkOf(colour));
  ribbons.forEach((c, i) => {
    const modes = pixelModes(lane.data, lane.columns[c].at, rows, count), picture = new ImageData(plot, 1), ink = new Uint32Array(picture.data.buffer);
    modes.forEach((mode, x) => mode !== MISSING && (ink[x] = inks[mode]));
    paintPicture(draw, picture, GUTTER, i * band, plot, band - 2);
    gutterText(draw, [lane.columns[c].role === "said" ? "decided" : "truth"], i * band + band - 2, i * band);
  });
  gutterText(draw, ["share"], height, top);
  paintStack(draw, lane.classes.map((_, c) => pixelMeans(lane.data, lane.columns[c].at, rows, lane.columns[c])), inks, GUTTER, top, plot, height - top);
  paintVeil(draw, person, GUTTER, 0, plot, height);
}

/** Shares that add up to 1, one on top of the other. */
function paintStack(draw, shares, inks, left, top, width, height) {
  if (!width) return;
  const high = Math.round(height * (devicePixelRatio || 1)), picture = new ImageData(width, high), ink = new Uint32Array(picture.data.buffer);
  for (let x = 0; x < width; x++) {
    let sum = 0, y = high;
    for (let c = 0; c < shares.length; c++) {
      if (Number.isNaN(shares[c][x])) continue;
      sum += shares[c][x];
      for (const end = Math.max(0, Math.round(high * (1 - sum))); y > end; y--) ink[(y - 1) * width + x] = inks[c];
    }
  }
  paintPicture(draw, picture, left, top, width, height);
}

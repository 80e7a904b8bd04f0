/** What lies over the tracks: cursor, pointer, selection, events, what is left out; and the values. */

/** Fills the head of a lane with names, colours and places for values. */
function legend(lane, more) {
  more.cells = [];
  const entry = (name, colour, column) => {
    const cell = el("b", { textContent: "" });
    more.values.append(el("span", {}, el("i", { style: { background: colour } }), `${name} `, cell));
    more.cells.push({ cell, column });
  };
  if (lane.kind === "lines") {
    const shown = shownSeries(lane);
    for (const one of shown) entry(one.name, inked(one.colour), one.index);
    for (const one of shown.filter(({ truth }) => truth >= 0)) entry(shown.length > 1 ? lane.columns[one.truth].name : "truth", theme.ink, one.truth);
  } else if (lane.kind === "classes") {
    lane.classes.forEach((one, c) => entry(one.name, one.colour, c));
  } else {
    const scale = el("i", { className: "scale" });
    more.values.append(el("span", {}, "0 ", scale, " 1"));
    if (lane.columns.some((column) => column.role === "value" && column.threshold !== null)) more.values.append(el("span", {}, el("i", { style: { background: theme.accent } }), "on"));
    if (lane.columns.some((column) => column.role === "truth")) more.values.append(el("span", {}, el("i", { style: { background: theme.ink } }), "truth"));
    more.top = el("span", { className: "strongest" });
    more.values.append(more.top);
  }
}

/** Writes what is said at the cursor, or under the pointer; in all lanes, or those in sight. */
function showValues(all = false) {
  const time = state.hover ?? state.shown ?? state.time;
  for (const { person, lane, cells, top, visible } of shownLanes) {
    if (!lane || !(visible || all)) continue;
    const row = rowAt(person, time);
    for (const { cell, column } of cells) {
      const value = valueAt(lane.data, row, lane.columns[column]);
      const text = value === null ? "–" : lane.kind === "classes" ? percent(value) : number(value, lane.columns[column].unit ? 1 : 2);
      if (cell.textContent !== text) cell.textContent = text;
    }
    if (top) top.textContent = strongest(lane, row);
  }
}

/** The strongest rows of a heat map at a row, those that reach a half. */
function strongest(lane, row) {
  const series = shownSeries(lane), names = shortNames(series.map(({ index }) => lane.columns[index]));
  const found = series.map(({ index }, i) => ({ name: names[i], value: valueAt(lane.data, row, lane.columns[index]) ?? 0 }));
  return found.filter(({ value }) => value >= 0.5).sort((a, b) => b.value - a.value).slice(0, 4).map(({ name, value }) => `${name} ${number(value)}`).join("  ");
}

/** Pixel of a time within a track. */
function pixelOf(track, time) {
  const plot = track.clientWidth - GUTTER - RIGHT;
  return GUTTER + ((time - state.view.from) / (state.view.to - state.view.from)) * plot;
}

function line(track, name, time) {
  if (time === null || time < state.view.from || time > state.view.to) return null;
  return el("div", { className: name, style: { transform: `translateX(${pixelOf(track, time)}px)` } });
}

function band(track, name, from, to, text = "") {
  const left = Math.max(pixelOf(track, from ?? -Infinity), GUTTER), right = Math.min(pixelOf(track, to ?? Infinity), track.clientWidth - RIGHT);
  if (!(right >= left)) return null;
  return el("div", { className: name, style: { transform: `translateX(${left}px)`, width: `${Math.max(right - left, 2)}px` } }, text);
}

/** Puts all marks into all tracks: few enough to be made anew when the view moves. */
function placeMarks() {
  for (const track of document.querySelectorAll(".track")) {
    const id = track.dataset.person ?? null, own = (person) => person === null || id === null ? person === null : samePerson(person, id);
    const marks = [
      ...edits.exclude.filter((one) => own(one.person)).map((one) => band(track, "excluded", one.from, one.to)),
      ...edits.events.filter((one) => own(one.person)).map((one) => band(track, "event", one.onset, one.offset, one.name)),
      state.selection ? band(track, "selection", state.selection.from, state.selection.to) : null,
    ];
    track.cursor = el("div", { className: "cursor" });
    track.pointer = el("div", { className: "pointer" });
    track.marks.replaceChildren(...marks.filter(Boolean), track.pointer, track.cursor);
  }
  moveCursor();
}

function moveCursor() {
  for (const track of document.querySelectorAll(".track")) {
    place(track, track.cursor, state.time);
    place(track, track.pointer, state.hover);
  }
}

function place(track, node, time) {
  if (!node) return;
  const hidden = time === null || time < state.view.from || time > state.view.to;
  node.style.visibility = hidden ? "hidden" : "visible";
  if (!hidden) node.style.transform = `translateX(${pixelOf(track, time)}px)`;
}

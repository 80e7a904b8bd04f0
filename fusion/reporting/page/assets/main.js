/** Puts the page together: curves first, then the clip, then what deep zooms need. */

function buildHead() {
  const frames = people[0]?.times.length ?? 0, rate = people[0]?.step ? 1 / people[0].step : 0;
  byId("title").textContent = data.video;
  byId("facts").textContent = frames ? `${clock(state.end - state.start, 1)}, ${frames} frames${rate ? `, ${number(rate)} a second` : ""}, ${people.length === 1 ? "1 person" : `${people.length} people`}` : "no frames";
  byId("carried").textContent = data.carried;
  byId("notes").append(...data.notes.map((text) => el("li", { textContent: text })));
  byId("made").textContent = Object.entries(data.provenance).map(([name, value]) => `${name} ${value}`).join(" · ");
}

function buildBar() {
  const play = button("Play", "Play or pause (Space)", togglePlay, { id: "play" });
  const now = el("output", { id: "now", "aria-label": "Time" });
  const speed = el("select", { id: "speed", "aria-label": "Speed", title: "Speed (< and >)" }, ...SPEEDS.map((value) => el("option", { value: String(value), textContent: `${value}×` })));
  speed.addEventListener("change", () => setSpeed(Number(speed.value)));
  const corrected = people.some((person) => person.lanes.some((lane) => lane.columns.some((column) => column.role === "corrected")));
  const toggle = corrected ? button("Corrected", "Raw or baseline-corrected (C)", toggleCorrected, { id: "corrected", "aria-pressed": "false" }) : null;
  const beside = people.length > 1 ? button("Side by side", "People side by side, or one below the other", () => ((state.beside = !state.beside), emit("people")), { id: "beside", "aria-pressed": String(state.beside) }) : null;
  byId("bar").append(
    ...(player.media ? [button("‹", "A picture back (←)", () => stepFrame(-1)), play, button("›", "A picture on (→)", () => stepFrame(1)), speed] : []), now,
    el("span", { className: "group" }, button("−", "Zoom out (↓)", () => zoom(1 / 1.6)), button("+", "Zoom in (↑)", () => zoom(1.6)), button("All", "The whole clip (0)", () => setView(state.start, state.end))),
    ...[toggle, beside].filter(Boolean),
    button("CSV", "Save the visible table as CSV", saveTable, { id: "csv" }), button("?", "Keys (?)", showHelp, { id: "helps" }));
  on("playing", () => (play.textContent = state.playing ? "Pause" : "Play"));
  on("speed", () => (speed.value = String(state.speed)));
  on("corrected", () => toggle?.setAttribute("aria-pressed", String(state.corrected)));
  on("people", () => beside?.setAttribute("aria-pressed", String(state.beside)));
  speed.value = "1";
}

/** What is written anew whenever the time changes: at most once a picture of the screen. */
let telling = false;
function tellTime() {
  if (telling) return;
  telling = true;
  requestAnimationFrame(() => {
    telling = false;
    const chosen = state.selection ? `  selected ${clock(state.selection.from)} to ${clock(state.selection.to)}` : "";
    byId("now").textContent = `${clock(state.hover ?? state.time)}${chosen}`;
    moveCursor();
    overview();
    drawPicture();
    showValues();
    tellPosition();
  });
}

/** Cancels what waits for idle time where a browser knows none. */
if (!window.requestIdleCallback) {
  window.requestIdleCallback = (does) => setTimeout(() => does({ timeRemaining: () => 0 }), 50);
  window.cancelIdleCallback = clearTimeout;
}

function connect() {
  const rebuild = () => (buildTracks(), tellTime());
  on("view", () => (redraw(), tellTime()));
  for (const name of ["time", "shown", "hover", "drawn"]) on(name, tellTime);
  on("selection", () => (placeMarks(), tellTime()));
  on("people", () => (buildPeople(), rebuild(), openCoarsely().then(redraw).then(openFine)));
  on("corrected", rebuild);
  on("edits", () => (buildPeople(), buildReview(), rebuild()));
  new ResizeObserver(redraw).observe(byId("tracks"));
  new ResizeObserver(tellTime).observe(byId("player"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readTheme();
    for (const lane of shownLanes) lane.restyle();
    rebuild();
  });
  addEventListener("beforeunload", (event) => unsaved && event.preventDefault());
}

const levelsOf = (person) => [person.face, ...person.lanes.map((lane) => lane.data)];

/** Decodes what is drawn of all who are shown from afar: little, and at once. */
function openCoarsely() {
  const { sound } = data, shared = [sound?.level && columnsOf(sound.level), sound?.speech && openCoarse(sound.speech)];
  return Promise.all([...shared, ...people.map((person) => openCoarse(person.face)), ...visiblePeople().flatMap(levelsOf).map(openCoarse)]);
}

/** Decodes the finest numbers of all who are shown, lane by lane, while the reader looks at coarse ones. */
async function openFine() {
  for (const person of visiblePeople()) {
    for (const info of [...Object.values(person.places), ...levelsOf(person).map((levels) => levels.full)]) {
      if (columnsNow(info)) continue;
      await columnsOf(info);
      await new Promise((next) => setTimeout(next));
    }
  }
  redraw();
}

async function open() {
  readTheme();
  takeEdits(data.review ?? {});
  await openTimes();
  const seen = [...people].sort((a, b) => b.seen - a.seen);
  for (const person of seen.slice(4)) state.hidden.add(person.id);
  state.beside = people.length > 1 && people.length < 4 && innerWidth > 1100;
  await openCoarsely();
  buildHead();
  buildPlayer();
  buildBar();
  buildOverview();
  buildPeople();
  buildReview();
  connect();
  buildTracks();
  watchTracks();
  watchKeys();
  tellTime();
  await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
  state.opened = performance.now();
  document.documentElement.dataset.opened = "yes";
  if (document.readyState === "loading") await new Promise((next) => document.addEventListener("DOMContentLoaded", next, { once: true }));
  loadClip();
  await openFine();
  document.documentElement.dataset.fine = "yes";
}

window.affuse = { state, people, edits, seek, setView, zoom, tableParts, reviewText };
open();

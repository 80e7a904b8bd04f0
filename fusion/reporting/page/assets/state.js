/** What the page shows now, and who wants to know when that changes. */

const data = JSON.parse(document.getElementById("data").textContent);
const people = data.people.map((told) => ({ ...told, times_info: told.times, times: new Float64Array(0), reach: 0.5 }));

const state = {
  time: 0, // of the cursor, seconds
  shown: null, // time of the picture that is shown, where the browser tells
  hover: null, // time under the pointer
  end: 1,
  start: 0,
  view: { from: 0, to: 1 },
  selection: null, // { from, to }
  hidden: new Set(), // ids of people
  folded: new Set(), // keys of lanes
  corrected: false,
  beside: false,
  playing: false,
  speed: 1,
};

const listeners = new Map();

function on(name, does) {
  if (!listeners.has(name)) listeners.set(name, []);
  listeners.get(name).push(does);
}

function emit(name) {
  for (const does of listeners.get(name) ?? []) does();
}

const SHORTEST = 0.2; // seconds of a view

/** Shows from `from` to `to`, within the clip. */
function setView(from, to) {
  const whole = state.end - state.start;
  const length = Math.min(Math.max(to - from, Math.min(SHORTEST, whole)), whole);
  const begin = Math.min(Math.max(from + (to - from - length) / 2, state.start), state.end - length);
  if (begin === state.view.from && begin + length === state.view.to) return;
  state.view = { from: begin, to: begin + length };
  emit("view");
}

/** Zooms by `factor` (above 1: closer) about `time`. */
function zoom(factor, time = middleOfView()) {
  const { from, to } = state.view;
  setView(time - (time - from) / factor, time + (to - time) / factor);
}

/** Where buttons and keys zoom: at the cursor if it is in view. */
function middleOfView() {
  const { from, to } = state.view;
  return state.time >= from && state.time <= to ? state.time : (from + to) / 2;
}

function setTime(time) {
  state.time = Math.min(Math.max(time, state.start), state.end);
  emit("time");
}

function setHover(time) {
  if (time === state.hover) return;
  state.hover = time;
  emit("hover");
}

function setSelection(from, to) {
  const [low, high] = from === null ? [null, null] : [Math.min(from, to), Math.max(from, to)];
  state.selection = low === null ? null : { from: Math.max(low, state.start), to: Math.min(high, state.end) };
  emit("selection");
}

/** Moves the view along where the cursor has left it. */
function followCursor() {
  const { from, to } = state.view, length = to - from;
  if (state.time < from) setView(state.time - 0.1 * length, state.time + 0.9 * length);
  if (state.time > to) setView(state.time - 0.05 * length, state.time + 0.95 * length);
}

const visiblePeople = () => people.filter((person) => !state.hidden.has(person.id));

function showPerson(id, shown) {
  if (shown) state.hidden.delete(id);
  else state.hidden.add(id);
  emit("people");
}

/** Decodes when frames are, and how far the clip goes. */
async function openTimes() {
  let start = Infinity, end = -Infinity;
  for (const person of people) {
    const [ticks] = await columnsOf(person.times_info);
    const times = Float64Array.from(ticks, (tick) => tick * data.tick);
    const step = times.length > 1 ? (times.at(-1) - times[0]) / (times.length - 1) : 0.04;
    person.times = times;
    person.step = step;
    person.reach = Math.max(0.5, 3 * step);
    if (times.length) (start = Math.min(start, times[0])), (end = Math.max(end, times.at(-1) + step));
  }
  state.start = Number.isFinite(start) ? start : 0;
  state.end = Math.max(Number.isFinite(end) ? end : 1, state.start + 1e-3);
  state.time = state.start;
  state.view = { from: state.start, to: state.end };
}

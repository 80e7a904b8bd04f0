/** Everything by keyboard. */

const KEYS = [
  [[" ", "k"], "Space, K", "play or pause", togglePlay],
  [["j"], "J", "back 5 s", () => seek(state.time - 5)],
  [["l"], "L", "on 5 s", () => seek(state.time + 5)],
  [["ArrowLeft"], "←", "a picture back; with Shift 1 s", (event) => (event.shiftKey ? seek(state.time - 1) : stepFrame(-1))],
  [["ArrowRight"], "→", "a picture on; with Shift 1 s", (event) => (event.shiftKey ? seek(state.time + 1) : stepFrame(1))],
  [["ArrowUp", "+", "="], "↑, +", "zoom in", () => zoom(1.6)],
  [["ArrowDown", "-"], "↓, −", "zoom out", () => zoom(1 / 1.6)],
  [["PageUp"], "Page up", "view back", () => pan(-0.8)],
  [["PageDown"], "Page down", "view on", () => pan(0.8)],
  [["Home"], "Home", "to the beginning", () => seek(state.start)],
  [["End"], "End", "to the end", () => seek(state.end)],
  [["0"], "0", "the whole clip", () => setView(state.start, state.end)],
  [["s"], "S", "zoom to the selection", () => state.selection && setView(state.selection.from, state.selection.to)],
  [["["], "[", "begin the selection here", () => setSelection(state.time, Math.max(state.selection?.to ?? state.end, state.time))],
  [["]"], "]", "end the selection here", () => setSelection(Math.min(state.selection?.from ?? state.start, state.time), state.time)],
  [["<", ","], "<", "slower", () => stepSpeed(-1)],
  [[">", "."], ">", "faster", () => stepSpeed(1)],
  [["e"], "E", "mark an event", markEvent],
  [["n"], "N", "to the next event; with Shift to the one before", (event) => stepEvent(event.shiftKey ? -1 : 1)],
  [["x"], "X", "leave out a stretch", excludeSelection],
  [["c"], "C", "raw or baseline-corrected", () => toggleCorrected()],
  [["1", "2", "3", "4", "5", "6", "7", "8", "9"], "1 to 9", "show or hide a person", (event) => {
    const person = people[Number(event.key) - 1];
    if (person) showPerson(person.id, state.hidden.has(person.id));
  }],
  [["Escape"], "Esc", "drop the selection", () => setSelection(null)],
  [["?", "h"], "?", "this help", showHelp],
];

function pan(share) {
  const moved = share * (state.view.to - state.view.from);
  setView(state.view.from + moved, state.view.to + moved);
}

function toggleCorrected() {
  state.corrected = !state.corrected;
  emit("corrected");
}

function showHelp() {
  const rows = KEYS.map(([, shown, does]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", { textContent: shown })), el("td", { textContent: does })));
  const mouse = "Click seeks, drag selects, the wheel zooms, Shift and wheel move; two fingers pinch. Grey: no face was seen.";
  showDialog("Keys", [el("p", { textContent: mouse }), el("table", {}, el("tbody", {}, ...rows))], null);
}

function watchKeys() {
  document.addEventListener("keydown", (event) => {
    const inField = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
    const presses = event.target.closest("button, input, audio") && (event.key === " " || event.key === "Enter");
    if (inField || presses || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const found = KEYS.find(([keys]) => keys.includes(key));
    if (!found) return;
    event.preventDefault();
    found[3](event);
  });
}

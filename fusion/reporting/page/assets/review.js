/** What the reader changes: names, people, stretches that do not count, events; kept as review.json. */

const edits = { rename: {}, merge: [], exclude: [], events: [] };
let unsaved = false;

function takeEdits(said) {
  Object.assign(edits, { rename: { ...said.rename }, merge: (said.merge ?? []).map((group) => [...group]), exclude: [...(said.exclude ?? [])], events: [...(said.events ?? [])] });
}

const groupOf = (id) => edits.merge.find((group) => group.includes(id));
const leaderOf = (id) => groupOf(id)?.[0] ?? id;
const samePerson = (a, b) => leaderOf(a) === leaderOf(b);
const isLeftOut = (id) => edits.exclude.some((one) => one.person !== null && samePerson(one.person, id) && one.from === null && one.to === null);

/** Whether a moment of a person does not count. */
function isExcluded(id, time) {
  return edits.exclude.some((one) => (one.person === null || samePerson(one.person, id)) && time >= (one.from ?? -Infinity) && time <= (one.to ?? Infinity));
}

function changed(text) {
  unsaved = true;
  say(text);
  emit("edits");
}

function rename(id, name) {
  if (name && name !== leaderOf(id)) edits.rename[leaderOf(id)] = name;
  else delete edits.rename[leaderOf(id)];
  changed(`Renamed to ${nameOf(id)}`);
}

function merge(first, second) {
  const joined = [...new Set([...(groupOf(first) ?? [first]), ...(groupOf(second) ?? [second])])];
  edits.merge = [...edits.merge.filter((group) => !group.some((id) => joined.includes(id))), joined];
  changed(`${second} is the same person as ${first}`);
}

function partFrom(id) {
  edits.merge = edits.merge.map((group) => group.filter((one) => one !== id)).filter((group) => group.length > 1);
  changed(`${id} is a person of their own`);
}

function leaveOut(id, out) {
  if (out) edits.exclude.push({ person: id, from: null, to: null });
  else edits.exclude = edits.exclude.filter((one) => one.person === null || !samePerson(one.person, id) || one.from !== null || one.to !== null);
  changed(out ? `${nameOf(id)} is left out` : `${nameOf(id)} counts again`);
}

const rounded = (time) => Number(time.toFixed(4));

/** Asks for a person and a stretch, by default the selection or the cursor; `does(who, from, to)`. */
function askStretch(title, fields, does) {
  const from = state.selection?.from ?? state.time, to = state.selection?.to ?? state.time;
  const who = el("select", { "aria-label": "Whose" }, el("option", { value: "", textContent: "everybody" }));
  for (const person of people) who.append(el("option", { value: person.id, textContent: nameOf(person.id) }));
  if (visiblePeople().length === 1) who.value = visiblePeople()[0].id;
  const time = (value, label) => el("input", { type: "text", inputMode: "decimal", value: number(value, 3), pattern: "[0-9]+([.,][0-9]+)?", required: true, "aria-label": label });
  const onset = time(from, "Onset in seconds"), offset = time(to, "Offset in seconds"), read = (node) => Number(node.value.replace(",", "."));
  showDialog(title, [...fields, el("label", {}, "who ", who), el("label", {}, "from ", onset, " s"), el("label", {}, "to ", offset, " s")], () => {
    const [first, last] = [read(onset), read(offset)].sort((a, b) => a - b);
    does(who.value || null, rounded(first), rounded(last));
  });
  return who;
}

/** Leaves out a stretch: the selection, if there is one. */
function excludeSelection() {
  const who = askStretch("Leave out a stretch", [], (person, from, to) => {
    edits.exclude.push({ person, from, to });
    setSelection(null);
    changed(`${clock(from)} to ${clock(to)} is left out`);
  });
  who.focus();
}

/** Asks what happened at the selection, or at the cursor. */
function markEvent() {
  const name = el("input", { type: "text", required: true, value: "event", "aria-label": "Name of the event" });
  askStretch("Mark an event", [el("label", {}, "what ", name)], (person, onset, offset) => {
    edits.events.push({ person, name: name.value.trim(), onset, offset });
    edits.events.sort((a, b) => a.onset - b.onset);
    changed(`Marked ${name.value} at ${clock(onset)}`);
  });
  name.select();
}

/** A dialog with fields; `does` runs when it is confirmed. */
function showDialog(title, fields, does) {
  const form = el("form", { method: "dialog" }, el("h2", { textContent: title }), ...fields);
  const dialog = el("dialog", { "aria-label": title }, form);
  form.append(el("div", { className: "row" }, does ? el("button", { textContent: "Keep", value: "keep" }) : null, button(does ? "Cancel" : "Close", does ? "Cancel" : "Close", () => dialog.close(), { autofocus: !does })));
  form.addEventListener("submit", () => does?.());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** As fusion/data/review.py reads it. */
function reviewText() {
  return JSON.stringify({ format: 1, video: data.video, ...edits }, null, 1);
}

function saveReview() {
  download("review.json", [reviewText()], "application/json");
  unsaved = false;
  emit("edits");
}

async function openReview(file) {
  try {
    const said = JSON.parse(await file.text());
    if (said.format !== 1) throw new Error("no review of this format");
    if (said.video !== data.video) throw new Error(`it is of “${said.video}”, this page is of “${data.video}”`);
    takeEdits(said);
    unsaved = false;
    emit("edits");
    say("The review is open");
  } catch (error) {
    showDialog("This review was not opened", [el("p", { textContent: error.message })], null);
  }
}

function buildReview() {
  const place = byId("review"), open = el("input", { type: "file", accept: ".json,application/json", className: "unseen", "aria-label": "Open a review.json" });
  open.addEventListener("change", () => open.files.length && openReview(open.files[0]));
  const entry = (text, time, remove) => el("li", {}, time === null ? text : button(text, `Go to ${text}`, () => (seek(time), followCursor()), { className: "link" }), button("×", `Remove ${text}`, remove, { className: "small" }));
  const who = (id) => (id === null ? "everybody" : nameOf(id));
  const list = [
    ...edits.events.map((one) => entry(`${clock(one.onset)} ${one.name}, ${who(one.person)}`, one.onset, () => ((edits.events = edits.events.filter((other) => other !== one)), changed("Event removed")))),
    ...edits.exclude.filter((one) => one.from !== null || one.to !== null).map((one) => entry(`${clock(one.from ?? state.start)} to ${clock(one.to ?? state.end)} left out, ${who(one.person)}`, one.from ?? state.start, () => ((edits.exclude = edits.exclude.filter((other) => other !== one)), changed("The stretch counts again")))),
  ];
  place.replaceChildren(
    el("h2", { textContent: unsaved ? "Review (not saved)" : "Review" }),
    list.length ? el("ul", {}, ...list) : el("p", { className: "quiet", textContent: "No events or left-out stretches yet. Press E for an event, X to leave out a selection." }),
    el("div", { className: "row" }, button("Event", "Mark an event (E)", markEvent), button("Leave out …", "Leave out a stretch, the selection if there is one (X)", excludeSelection)),
    el("div", { className: "row" }, button("Save review.json", "Save what was changed as review.json", saveReview), button("Open …", "Open a review.json", () => open.click()), open));
}

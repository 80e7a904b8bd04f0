/** Events found by rules: a lane of bars for each person, a row a kind; and the way from one to the next. */

const ROW = 14, NEAR_BAR = 3; // pixels of a row; how far beside a bar a click still is on it
const kindsOf = (person) => person.events?.kinds ?? [];
const toEvent = (kind, [onset, length, peak]) => ({ name: kind.name, onset, offset: onset + length, length, peak });

/** Whether some of an event lies in a stretch that is left out. */
function touchesExcluded(id, onset, offset) {
  return edits.exclude.some((one) => (one.person === null || samePerson(one.person, id)) && offset > (one.from ?? -Infinity) && onset < (one.to ?? Infinity));
}

const isCounted = (person, [onset, length]) => !touchesExcluded(person.id, onset, onset + length);

function buildEvents(track, person) {
  const kinds = kindsOf(person);
  if (!kinds.length) return;
  const told = ["Found by rules; click a bar to go there and select it", ...kinds.map(({ name, rule }) => `${name}: ${rule}`)];
  if (person.events.more.length) told.push(`Not shown, being rarer: ${person.events.more.join(", ")}`);
  const { block, values, folded } = buildBlock(track, { key: "events", title: "Events" }, told);
  const whole = !edits.exclude.some((one) => one.person === null || samePerson(one.person, person.id));
  const summary = kinds.map((kind) => {
    const count = kind.events.filter((event) => isCounted(person, event)).length;
    const rate = whole && kind.rate !== null ? ` (${number(kind.rate, 1)}/min)` : "";
    values.append(el("span", { className: "count" }, `${kind.name} `, el("b", { textContent: String(count) }), rate));
    return `${kind.name} ${count}${rate}`;
  });
  if (folded) return;
  const lane = addCanvas(block, kinds.length * ROW, `Events of ${person.id}: ${summary.join(", ")}`, (draw, width, height) => paintEvents(draw, person, width, height));
  lane.node.eventsOf = person;
  lane.node.classList.add("events");
}

function paintEvents(draw, person, width, height) {
  const plot = width - GUTTER - RIGHT, { from, to } = state.view, kinds = kindsOf(person), pixel = plot / (to - from);
  gutterText(draw, kinds.map(({ name }) => name), height);
  kinds.forEach((kind, r) => {
    draw.fillStyle = theme.line;
    draw.fillRect(GUTTER, (r + 1) * ROW - 1, plot, 0.5);
    for (const event of kind.events) {
      const [onset, length] = event;
      if (onset > to || onset + length < from) continue;
      const left = Math.max(0, (onset - from) * pixel), right = Math.min(plot, (onset + length - from) * pixel);
      draw.fillStyle = isCounted(person, event) ? theme.accent : theme.veil;
      draw.fillRect(GUTTER + Math.min(left, plot - 2), r * ROW + 2, Math.max(right - left, 2), ROW - 5);
    }
  });
  paintVeil(draw, person, GUTTER, 0, plot, height);
}

/** The event under the pointer, null if there is none. */
function eventUnder(pointer) {
  const node = pointer.target.closest?.(".lane.events");
  if (!node) return null;
  const box = node.getBoundingClientRect(), { from, to } = state.view, second = (to - from) / (box.width - GUTTER - RIGHT);
  const kind = kindsOf(node.eventsOf)[Math.floor((pointer.clientY - box.top) / ROW)], time = from + (pointer.clientX - box.left - GUTTER) * second;
  if (!kind || pointer.clientX < box.left + GUTTER - NEAR_BAR) return null;
  const away = ([onset, length]) => Math.max(onset - time, time - onset - length, 0);
  const nearest = kind.events.reduce((best, event) => (best === null || away(event) < away(best) ? event : best), null);
  return nearest && away(nearest) <= NEAR_BAR * second ? toEvent(kind, nearest) : null;
}

const tellEvent = ({ name, onset, length, peak }) => `${name}: onset ${clock(onset)}, length ${number(length)} s${peak === null ? "" : `, peak ${number(peak)}`}`;

/** Says at the pointer what the bar under it is. */
function hintEvent(pointer) {
  const node = pointer.target.closest?.(".lane.events"), event = node && eventUnder(pointer);
  if (node) node.title = event ? tellEvent(event) : "";
}

/** Goes to an event and selects it. */
function goToEvent(event) {
  seek(event.onset);
  followCursor();
  setSelection(event.onset, event.offset);
  say(tellEvent(event));
}

/** Every event of the people shown that counts, in order of time, also those marked by hand. */
function allEvents() {
  const shown = visiblePeople();
  const found = shown.flatMap((person) => kindsOf(person).flatMap((kind) => kind.events.filter((event) => isCounted(person, event)).map((event) => toEvent(kind, event))));
  const marked = edits.events.filter(({ person }) => person === null || shown.some(({ id }) => samePerson(id, person)));
  const made = marked.map(({ name, onset, offset }) => ({ name, onset, offset, length: offset - onset, peak: null }));
  return [...found, ...made].sort((a, b) => a.onset - b.onset || a.offset - b.offset);
}

/** To the next event, or with -1 the one before; those that begin together are one. */
function stepEvent(by) {
  const all = allEvents(), last = 1e-3; // a clock may stand so far beside the onset that it was set to
  const next = by > 0 ? all.find(({ onset }) => onset > state.time + last) : all.findLast(({ onset }) => onset < state.time - last);
  if (next) goToEvent(by > 0 ? next : all.find(({ onset }) => next.onset - onset <= last));
  else say(by > 0 ? "No event after this" : "No event before this");
}

/** The people of the clip: who is who, who is shown, who is left out or the same as another. */

const nameOf = (id) => edits.rename[leaderOf(id)] || edits.rename[id] || leaderOf(id);

function buildPeople() {
  const place = byId("people");
  place.replaceChildren();
  place.append(el("h2", { textContent: people.length === 1 ? "Person" : "People" }));
  if (people.length > 4) {
    const all = button("All", "Show everybody", () => people.forEach((person) => showPerson(person.id, true)));
    const none = button("None", "Hide everybody", () => people.forEach((person) => showPerson(person.id, false)));
    place.append(el("p", {}, all, none));
  }
  people.forEach((person, i) => place.append(personCard(person, i)));
}

function personCard(person, i) {
  const shown = el("input", { type: "checkbox", checked: !state.hidden.has(person.id), id: `show${i}`, "aria-label": `Show ${nameOf(person.id)}` });
  shown.addEventListener("change", () => showPerson(person.id, shown.checked));
  const name = el("input", { type: "text", value: nameOf(person.id), className: "rename", "aria-label": `Name of ${person.id}`, title: `Name of ${person.id}; type another to rename` });
  name.addEventListener("change", () => rename(person.id, name.value.trim()));
  const out = isLeftOut(person.id), same = leaderOf(person.id) !== person.id;
  const facts = [`face seen ${percent(person.seen)}`, person.quality === null ? null : `quality ${number(person.quality)}`, out ? "left out" : null, same ? `same as ${nameOf(leaderOf(person.id))}` : null];
  const card = el("div", { className: out ? "card out" : "card", style: { borderColor: person.colour } },
    el("div", { className: "row" }, people.length > 1 ? shown : null, name),
    el("p", { className: "quiet", textContent: facts.filter(Boolean).join(" · ") }));
  card.dataset.person = person.id;
  card.append(el("div", { className: "row" },
    button(out ? "Take in again" : "Leave out", `${out ? "Take in" : "Leave out"} ${nameOf(person.id)}`, () => leaveOut(person.id, !out), { className: "small" }),
    people.length > 1 ? mergeChoice(person) : null));
  return card;
}

function mergeChoice(person) {
  const choice = el("select", { className: "small", "aria-label": `${nameOf(person.id)} is the same person as` }, el("option", { value: "", textContent: "same as …" }));
  for (const other of people) if (other !== person) choice.append(el("option", { value: other.id, textContent: nameOf(other.id) }));
  if (leaderOf(person.id) !== person.id) choice.append(el("option", { value: "=", textContent: "nobody else" }));
  choice.addEventListener("change", () => (choice.value === "=" ? partFrom(person.id) : merge(choice.value, person.id)));
  return choice;
}

/** The visible table as CSV: people that are shown, the selection or else the view, all columns. */

const PART = 5000; // rows of a piece of text

/** Columns of a person that go into the table: [name, lane, index]. */
function tableColumns(person) {
  return person.lanes.flatMap((lane) => lane.columns.flatMap((column, c) => {
    const name = column.role === "truth" ? `true ${column.name.replace(/^true /, "")}` : column.name;
    return [{ name, lane, c, column, classes: lane.kind === "classes" && column.role !== "value" ? lane.classes : null }];
  }));
}

/** Digits that a column's steps are worth. */
const digitsOf = (column) => Math.min(Math.max(Math.ceil(-Math.log10(column.step)), 0), 4);

const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

async function tableParts() {
  const shown = visiblePeople().filter((person) => person.times.length), range = state.selection ?? state.view, parts = [];
  const names = [...new Set(shown.flatMap((person) => tableColumns(person).map(({ name }) => name)))];
  parts.push(["video", "person", "name", "frame", "time", "face", "excluded", ...names].map(quoted).join(",") + "\n");
  for (const person of shown) {
    await Promise.all([columnsOf(person.face.full), ...person.lanes.map((lane) => columnsOf(lane.data.full))]);
    const [face] = columnsNow(person.face.full), byName = new Map(tableColumns(person).map((one) => [one.name, one]));
    const columns = names.map((name) => byName.get(name)), head = [data.video, person.id, nameOf(person.id)].map(quoted).join(",");
    const first = rowFrom(person.times, range.from), end = rowFrom(person.times, range.to + 1e-9);
    for (let start = first; start < end; start += PART) {
      let text = "";
      for (let row = start; row < Math.min(start + PART, end); row++) {
        text += `${head},${row + 1},${person.times[row].toFixed(4)},${face[row] ? 1 : 0},${isExcluded(person.id, person.times[row]) ? 1 : 0}`;
        for (const one of columns) text += `,${cell(one, row)}`;
        text += "\n";
      }
      parts.push(text);
      await new Promise((next) => setTimeout(next));
    }
  }
  return parts;
}

function cell(one, row) {
  if (!one) return "";
  const code = columnsNow(one.lane.data.full)[one.column.at][row];
  if (code === MISSING) return "";
  if (one.classes) return quoted(one.classes[code].name);
  return (one.column.start + code * one.column.step).toFixed(digitsOf(one.column));
}

async function saveTable() {
  say("Writing the table");
  download(`${data.video.replace(/[/\\]/g, "_")}.csv`, await tableParts(), "text/csv");
  say("The table is written");
}

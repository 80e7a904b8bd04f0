/** The whole clip in a strip: where the view is, who was seen, what is marked; moved by pointer and keys. */

let overview = null;

function buildOverview() {
  const { canvas, draw } = makeCanvas(24 + 7 * Math.min(people.length, 8), "The whole clip", paintOverview);
  overview = draw;
  const slider = byId("overview");
  slider.append(canvas);
  for (const [name, value] of Object.entries({ role: "slider", tabindex: "0", "aria-label": "Position in the clip", "aria-valuemin": "0" })) slider.setAttribute(name, value);
  slider.title = "The whole clip; drag to move the view, click to seek";
  const timeOf = (event) => state.start + ((event.offsetX - GUTTER) / (canvas.clientWidth - GUTTER - RIGHT)) * (state.end - state.start);
  let last = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = timeOf(event);
    const { from, to } = state.view;
    if (last < from || last > to) setView(last - (to - from) / 2, last + (to - from) / 2);
    seek(last);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (last === null) return;
    const time = timeOf(event);
    setView(state.view.from + time - last, state.view.to + time - last);
    last = time;
  });
  canvas.addEventListener("pointerup", () => (last = null));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), timeOf(event));
  }, { passive: false });
}

let whole = null; // what does not change with view and cursor: { key, picture }

/** Sound and faces of the whole clip, painted once for a width, a theme and who is shown. */
function wholeClip(width, height) {
  const ratio = devicePixelRatio || 1, ready = [data.sound?.level && columnsNow(data.sound.level), ...people.map((one) => sourceFor(one.face, 1e9))];
  const key = [width, height, ratio, theme.dark, [...state.hidden], ready.map(Boolean)].join();
  if (whole?.key === key) return whole.picture;
  const picture = new OffscreenCanvas(Math.round(width * ratio), Math.round(height * ratio)), draw = picture.getContext("2d");
  draw.scale(ratio, ratio);
  paintWhole(draw, width);
  whole = { key, picture };
  return picture;
}

function paintWhole(draw, width) {
  const plot = width - GUTTER - RIGHT, all = { from: state.start, to: state.end }, top = 22;
  draw.fillStyle = theme.quiet;
  const level = data.sound?.level && columnsNow(data.sound.level)?.[0];
  for (let px = 0; level && px < plot; px++) {
    const at = (p) => Math.floor((state.start + (p / plot) * (state.end - state.start) - data.sound.level.start) / data.sound.level.step);
    let peak = 0;
    for (let i = Math.max(0, at(px)); i < Math.min(level.length, Math.max(at(px + 1), at(px) + 1)); i++) peak = Math.max(peak, level[i]);
    draw.fillRect(GUTTER + px, 11 - peak / 10.5, 1, peak / 5.25);
  }
  people.slice(0, 8).forEach((person, i) => {
    const seen = pixelMeans(person.face, 0, findRows(person, all, plot), { start: 0, step: 1 / person.face.steps });
    draw.fillStyle = inked(person.colour);
    for (let px = 0; px < plot; px++) {
      if (!(seen[px] > 0)) continue;
      draw.globalAlpha = (state.hidden.has(person.id) ? 0.3 : 1) * seen[px];
      draw.fillRect(GUTTER + px, top + 7 * i, 1, 5);
    }
    draw.globalAlpha = 1;
  });
  gutterText(draw, ["whole clip"], 22);
}

function paintOverview(draw, width, height) {
  const plot = width - GUTTER - RIGHT, x = (time) => GUTTER + ((time - state.start) / (state.end - state.start)) * plot;
  draw.drawImage(wholeClip(width, height), 0, 0, width, height);
  for (const one of edits.events) {
    draw.fillStyle = theme.accent;
    draw.fillRect(x(one.onset) - 1, 0, Math.max(2, x(one.offset) - x(one.onset)), 4);
  }
  draw.fillStyle = theme.ground;
  draw.globalAlpha = 0.66;
  draw.fillRect(GUTTER, 0, x(state.view.from) - GUTTER, height);
  draw.fillRect(x(state.view.to), 0, width - RIGHT - x(state.view.to), height);
  draw.globalAlpha = 1;
  draw.strokeStyle = theme.accent;
  draw.strokeRect(x(state.view.from) + 0.5, 0.5, Math.max(2, x(state.view.to) - x(state.view.from) - 1), height - 1);
  draw.fillStyle = theme.ink;
  draw.fillRect(x(state.time) - 0.75, 0, 1.5, height);
}

function tellPosition() {
  const slider = byId("overview");
  slider.setAttribute("aria-valuemax", number(state.end, 1));
  slider.setAttribute("aria-valuenow", number(state.time, 1));
  slider.setAttribute("aria-valuetext", `${clock(state.time)} of ${clock(state.end)}`);
}

/** Lanes that are drawn here, not by uPlot: sound, classes, heat maps, who was seen, the time. */

const GUTTER = 68, RIGHT = 8; // pixels beside every plot
let theme = null;

/** Colours of the theme that the reader's system asks for. */
function readTheme() {
  const style = getComputedStyle(document.documentElement), colour = (name) => style.getPropertyValue(name).trim();
  const stops = [colour("--heat-0"), colour("--heat-1"), colour("--heat-2")];
  const heat = Array.from({ length: 256 }, (_, i) => {
    const text = i < 128 ? mixed(stops[0], stops[1], i / 127) : mixed(stops[1], stops[2], (i - 128) / 127);
    return [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  });
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  theme = { ink: colour("--ink"), quiet: colour("--quiet"), line: colour("--line"), veil: colour("--veil"), accent: colour("--accent"), seen: colour("--seen"), ground: colour("--ground"), heat, dark };
  return theme;
}

/** A line's colour on the ground of the theme. */
function inked(colour) {
  return theme.dark ? mixed(colour, "#FFFFFF", 0.3) : colour;
}

/** A canvas as wide as its place, sharp on any screen; `paint(draw, width, height)` fills it. */
function makeCanvas(height, label, paint) {
  const canvas = el("canvas", { role: "img", "aria-label": label, style: { height: `${height}px` } });
  const draw = () => {
    const width = canvas.clientWidth, ratio = devicePixelRatio || 1;
    if (!width) return;
    const wide = Math.round(width * ratio), high = Math.round(height * ratio);
    if (canvas.width !== wide) canvas.width = wide;
    if (canvas.height !== high) canvas.height = high;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    paint(context, width, height);
  };
  return { canvas, draw };
}

/** Seconds between marks of the time axis. */
const MARKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];

function paintAxis(draw, width) {
  const { from, to } = state.view, plot = width - GUTTER - RIGHT, step = MARKS.find((mark) => ((to - from) / mark) * 64 <= plot) ?? 14400;
  draw.font = "11px system-ui, sans-serif";
  draw.textAlign = "center";
  draw.fillStyle = theme.quiet;
  draw.strokeStyle = theme.line;
  for (let k = Math.ceil(from / step - 1e-9); k * step <= to + 1e-9; k++) {
    const x = GUTTER + ((k * step - from) / (to - from)) * plot;
    draw.beginPath();
    draw.moveTo(x, 15);
    draw.lineTo(x, 20);
    draw.stroke();
    const text = clock(k * step, step < 1 ? 1 : 0), half = draw.measureText(text).width / 2;
    draw.fillText(text, Math.min(x, width - half), 11);
  }
}

/** Loudness mirrored about the middle, whoever speaks in colour behind it. */
function paintSound(draw, width, height) {
  const plot = width - GUTTER - RIGHT, { from, to } = state.view, middle = height / 2, { sound } = data;
  gutterText(draw, ["sound"], height);
  if (sound.speech) {
    const person = people.find((one) => one.id === sound.speech.person), rows = pixelRows(person, state.view, plot);
    const speech = pixelMeans(sound.speech, 0, rows, { start: 0, step: 0.01 });
    draw.fillStyle = theme.accent;
    for (let x = 0; x < plot; x++) {
      if (!(speech[x] > 0.02)) continue;
      draw.globalAlpha = 0.38 * speech[x];
      draw.fillRect(GUTTER + x, 0, 1, height);
    }
    draw.globalAlpha = 1;
  }
  const level = sound.level && columnsNow(sound.level)?.[0];
  if (!level) return;
  draw.fillStyle = theme.quiet;
  for (let x = 0; x < plot; x++) {
    const first = (from + (x / plot) * (to - from) - sound.level.start) / sound.level.step, last = first + (to - from) / plot / sound.level.step;
    let peak = 0;
    for (let i = Math.max(0, Math.floor(first)); i < Math.min(level.length, Math.max(Math.floor(first) + 1, last)); i++) peak = Math.max(peak, level[i]);
    const half = (peak / 100) * (middle - 2);
    if (half > 0.2) draw.fillRect(GUTTER + x, middle - half, 1, 2 * half);
  }
}

/** Text beside a plot, a line a row. */
function gutterText(draw, names, height, top = 0) {
  const row = (height - top) / names.length;
  draw.font = `${Math.min(11, Math.max(8, row - 1))}px system-ui, sans-serif`;
  draw.textAlign = "right";
  draw.textBaseline = "middle";
  draw.fillStyle = theme.quiet;
  names.forEach((name, i) => draw.fillText(fitted(draw, name, GUTTER - 8), GUTTER - 6, top + row * (i + 0.5)));
  draw.textBaseline = "alphabetic";
}

function fitted(draw, text, width) {
  if (draw.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 1 && draw.measureText(`${text.slice(0, end)}…`).width > width) end--;
  return `${text.slice(0, end)}…`;
}

/** Shares as colours, a pixel a column: (rows of Float32Array, 0 to 1) > picture. */
function paintHeat(draw, rows, left, top, width, height) {
  if (!width || !rows.length) return;
  const picture = new ImageData(width, rows.length);
  rows.forEach((values, r) => {
    for (let x = 0, at = 4 * r * width; x < width; x++, at += 4) {
      if (Number.isNaN(values[x])) continue;
      const [red, green, blue] = theme.heat[Math.round(255 * Math.min(Math.max(values[x], 0), 1))];
      picture.data[at] = red;
      picture.data[at + 1] = green;
      picture.data[at + 2] = blue;
      picture.data[at + 3] = 255;
    }
  });
  paintPicture(draw, picture, left, top, width, height);
}

/** Pixels stretched over a place. */
function paintPicture(draw, picture, left, top, width, height) {
  const small = new OffscreenCanvas(picture.width, picture.height);
  small.getContext("2d").putImageData(picture, 0, 0);
  draw.imageSmoothingEnabled = false;
  draw.drawImage(small, left, top, width, height);
}

/** A colour #RRGGBB as a pixel of a picture in memory. */
function inkOf(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Greys where no face was seen: there the curves rest on other streams and frames around. */
function paintVeil(draw, person, left, top, width, height, ratio = 1) {
  const seen = pixelMeans(person.face, 0, pixelRows(person, state.view, width), { start: 0, step: 1 / person.face.steps });
  draw.fillStyle = theme.veil;
  for (let x = 0; x < width; ) {
    let end = x;
    while (end < width && seen[end] < 0.5) end++;
    if (end > x) draw.fillRect(left + x * ratio, top, (end - x) * ratio, height);
    x = end + 1;
  }
}

/** Whether the face was seen, as a strip. */
function paintSeen(draw, person, width, height) {
  const plot = width - GUTTER - RIGHT, rows = pixelRows(person, state.view, plot);
  const seen = pixelMeans(person.face, 0, rows, { start: 0, step: 1 / person.face.steps });
  gutterText(draw, ["face seen"], height);
  draw.fillStyle = theme.veil;
  draw.fillRect(GUTTER, 2, plot, height - 4);
  draw.fillStyle = theme.seen;
  for (let x = 0; x < plot; x++) {
    if (!(seen[x] > 0)) continue;
    draw.globalAlpha = seen[x];
    draw.fillRect(GUTTER + x, 2, 1, height - 4);
  }
  draw.globalAlpha = 1;
}

/** What is drawn of many frames: columns of a view > least and greatest, mean, or most frequent. */

/** First row whose time is not below `time`. */
function rowFrom(times, time) {
  let low = 0, high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Row that is shown at `time`: the last that has begun; -1 before the first or long after one. */
function rowAt(person, time) {
  const row = rowFrom(person.times, time + 1e-6) - 1;
  return row >= 0 && time - person.times[row] <= person.reach ? row : -1;
}

/** Rows of each pixel as below; those of a person's last view are kept, since all lanes ask for them. */
function pixelRows(person, view, width) {
  const known = person.rows;
  if (known && known.width === width && known.begin === view.from && known.end === view.to) return known;
  return (person.rows = { begin: view.from, end: view.to, width, ...findRows(person, view, width) });
}

/** Rows [from, to) of each of `width` pixels of a view; none where `from` is `to`. */
function findRows(person, view, width) {
  const { times } = person, from = new Int32Array(width), to = new Int32Array(width);
  const step = (view.to - view.from) / width;
  let next = rowFrom(times, view.from);
  for (let x = 0; x < width; x++) {
    from[x] = next;
    const end = view.from + (x + 1) * step;
    if (next < times.length && times[next] < end) {
      if (step > 1) next = rowFrom(times, end);
      else while (next < times.length && times[next] < end) next++;
    }
    to[x] = next;
    if (to[x] === from[x]) {
      const shown = rowAt(person, end - step / 2);
      from[x] = Math.max(shown, 0);
      to[x] = shown + 1;
    }
  }
  return { from, to, size: Math.max(1, Math.floor((to[width - 1] - from[0]) / width)) };
}

/** Mean of column `c` in each pixel, by its scale; NaN where there is nothing. */
function pixelMeans(levels, c, rows, scale) {
  const out = new Float32Array(rows.from.length).fill(NaN), source = sourceFor(levels, rows.size);
  if (!source) return out;
  const codes = source.columns[placesOf(source, c)[0]], { step } = source;
  for (let x = 0; x < out.length; x++) {
    if (rows.to[x] === rows.from[x]) continue;
    const first = Math.floor(rows.from[x] / step), end = Math.max(first + 1, Math.floor(rows.to[x] / step));
    let sum = 0, count = 0;
    for (let i = first; i < end; i++) if (codes[i] !== MISSING) (sum += codes[i]), count++;
    if (count) out[x] = scale.start + (sum / count) * scale.step;
  }
  return out;
}

/** Most frequent code of column `c` in each pixel; MISSING where there is nothing. */
function pixelModes(levels, c, rows, number) {
  const out = new Int16Array(rows.from.length).fill(MISSING), source = sourceFor(levels, rows.size);
  if (!source) return out;
  const codes = source.columns[placesOf(source, c)[0]], { step } = source, counts = new Int32Array(number);
  for (let x = 0; x < out.length; x++) {
    if (rows.to[x] === rows.from[x]) continue;
    const first = Math.floor(rows.from[x] / step), end = Math.max(first + 1, Math.floor(rows.to[x] / step));
    counts.fill(0);
    for (let i = first; i < end; i++) if (codes[i] !== MISSING) counts[codes[i]]++;
    let most = 0;
    for (let k = 0; k < number; k++) if (counts[k] > most) (most = counts[k]), (out[x] = k);
  }
  return out;
}

/**
 * Rows of a view in groups of a power of two, counted from the first frame, so that a view that
 * moves does not flicker; one row each while there is room.
 */
function groupsOf(person, view, width) {
  const { times } = person;
  const first = Math.max(0, rowFrom(times, view.from) - 1), end = Math.min(times.length, rowFrom(times, view.to) + 1);
  let size = 1;
  while ((end - first) / size > 1.5 * width) size *= 2;
  const from = Math.floor(first / size), to = Math.ceil(end / size);
  return { from, to, size };
}

/** Times of a group's two points, or of a single row. */
function groupTimes(person, groups) {
  const { times } = person, { from, to, size } = groups, out = [];
  for (let g = from; g < to; g++) {
    const time = times[Math.min(g * size + (size >> 1), times.length - 1)];
    out.push(time);
    if (size > 1) out.push(time);
  }
  return out;
}

/** Least and greatest of a lane's column in each group, as two arrays; null where there is nothing. */
function groupRanges(levels, groups, scale) {
  const { from, to, size } = groups, low = [], high = [], source = sourceFor(levels, size);
  if (!source) return { low, high };
  const [least, greatest] = placesOf(source, scale.at), lows = source.columns[least], highs = source.columns[greatest];
  const { step } = source;
  for (let g = from; g < to; g++) {
    const first = Math.floor((g * size) / step), end = Math.min(lows.length, Math.max(first + 1, Math.floor(((g + 1) * size) / step)));
    let min = 32768, max = -32768;
    for (let i = first; i < end; i++) {
      if (lows[i] !== MISSING && lows[i] < min) min = lows[i];
      if (highs[i] !== MISSING && highs[i] > max) max = highs[i];
    }
    low.push(min === 32768 ? null : scale.start + min * scale.step);
    high.push(min === 32768 ? null : scale.start + max * scale.step);
  }
  return { low, high };
}

/** Value of a lane's column at a row; null where there is none or it is not decoded yet. */
function valueAt(levels, row, scale) {
  const c = scale.at;
  if (row < 0) return null;
  const full = columnsNow(levels.full);
  if (full) return full[c][row] === MISSING ? null : scale.start + full[c][row] * scale.step;
  const source = sourceFor(levels, 1);
  if (!source) return null;
  const [least, greatest] = placesOf(source, c), i = Math.floor(row / source.step);
  if (source.columns[least][i] === MISSING) return null;
  return scale.start + (scale.step * (source.columns[least][i] + source.columns[greatest][i])) / 2;
}

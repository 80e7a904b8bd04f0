/** Packed numbers: text > gzip > planes of bytes > differences > whole numbers (packing.py). */

const MISSING = -32768;
const unpacked = new Map(); // block name > { promise, columns }

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Columns of a block, Int16Array or Int32Array each; decoded once. */
function columnsOf(info) {
  let known = unpacked.get(info.block);
  if (!known) {
    known = { columns: null };
    known.promise = decode(info).then((columns) => (known.columns = columns));
    unpacked.set(info.block, known);
  }
  return known.promise;
}

/** The columns if they are decoded already, else null. */
function columnsNow(info) {
  return unpacked.get(info.block)?.columns ?? null;
}

async function decode({ block, columns, rows, bytes }) {
  const planes = await gunzip(bytesOf(document.getElementById(block).textContent));
  const count = columns * rows, found = [];
  for (let c = 0; c < columns; c++) found.push(bytes === 2 ? column16(planes, c * rows, rows, count) : column32(planes, c * rows, rows, count));
  return found;
}

function column16(planes, start, rows, count) {
  const out = new Int16Array(rows);
  let value = 0;
  for (let i = 0, k = start; i < rows; i++, k++) {
    const folded = planes[k] | (planes[k + count] << 8);
    value = ((value + ((folded >>> 1) ^ -(folded & 1))) << 16) >> 16;
    out[i] = value;
  }
  return out;
}

function column32(planes, start, rows, count) {
  const out = new Int32Array(rows);
  let value = 0;
  for (let i = 0, k = start; i < rows; i++, k++) {
    const folded = planes[k] | (planes[k + count] << 8) | (planes[k + 2 * count] << 16) | (planes[k + 3 * count] << 24);
    value = (value + ((folded >>> 1) ^ -(folded & 1))) | 0;
    out[i] = value;
  }
  return out;
}

/** Decodes the coarsest level there is, so that something can be drawn at once. */
async function openCoarse(levels) {
  await Promise.all(levels.levels.length ? levels.levels.map(columnsOf) : [columnsOf(levels.full)]);
}

/**
 * Where to read columns of `size` frames from: the full numbers, or a level whose groups fit into
 * such columns. A level is taken for want of full numbers that are still to be decoded.
 */
function sourceFor(levels, size) {
  let best = null;
  for (const level of levels.levels) if (level.step <= size && columnsNow(level)) best = level;
  if (best) return { step: best.step, columns: columnsNow(best), ways: levels.ways };
  const full = columnsNow(levels.full);
  if (full) return { step: 1, columns: full, ways: levels.ways };
  const coarse = levels.levels.find((level) => columnsNow(level));
  return coarse ? { step: coarse.step, columns: columnsNow(coarse), ways: levels.ways } : null;
}

/** Columns of a source that belong to column `c` of the lane: two of a range in a coarse level. */
function placesOf(source, c) {
  if (source.step === 1) return [c, c];
  let at = 0;
  for (let i = 0; i < c; i++) at += source.ways[i] === "range" ? 2 : 1;
  return [at, source.ways[c] === "range" ? at + 1 : at];
}

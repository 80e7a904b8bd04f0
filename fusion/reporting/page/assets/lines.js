/** Lanes of values: lines by uPlot, with bands of uncertainty, and truth where there is any. */

/** Series of a lane that are shown: corrected ones instead of theirs, if that is switched on. */
function shownSeries(lane) {
  const corrected = new Map();
  lane.columns.forEach((column, c) => column.role === "corrected" && corrected.set(column.of, c));
  return lane.columns.flatMap((column, c) => {
    if (column.role !== "value") return [];
    const index = state.corrected && corrected.has(column.of) ? corrected.get(column.of) : c;
    const spread = lane.columns.findIndex((other) => other.role === "spread" && other.of === column.of);
    const truth = lane.columns.findIndex((other) => other.role === "truth" && other.of === column.of);
    return [{ index, spread: index === c ? spread : -1, truth: index === c ? truth : -1, colour: column.colour, name: lane.columns[index].name }];
  });
}

/** Ends of the vertical axis: the range of the columns; of those with a unit, what there is of it. */
function endsOf(lane) {
  const shown = shownSeries(lane).map(({ index }) => lane.columns[index]);
  if (shown.some((column) => column.unit && column.least !== null)) {
    const most = Math.max(...shown.flatMap((column) => (column.least === null ? [] : [-column.least, column.greatest])), 1e-3);
    const nice = 10 ** Math.floor(Math.log10(most)), end = [1, 2, 3, 5, 10].find((factor) => factor * nice >= most) * nice;
    return shown.some((column) => column.least < 0) ? [-end, end] : [0, end];
  }
  const low = Math.min(...shown.map((column) => column.low ?? column.start));
  const high = Math.max(...shown.map((column) => column.high ?? column.start + column.step * column.steps));
  return [low, high > low ? high : low + 1];
}

/** Options of uPlot for a lane. */
function linesOptions(person, lane, width, height) {
  const [low, high] = endsOf(lane), margin = (high - low) / 20, digits = high - low > 20 ? 0 : high - low > 3 ? 1 : 2;
  const series = [{}], bands = [];
  for (const one of shownSeries(lane)) {
    const colour = inked(one.colour);
    if (one.spread >= 0) {
      series.push({ stroke: "transparent", points: { show: false } }, { stroke: "transparent", points: { show: false } });
      bands.push({ series: [series.length - 1, series.length - 2], fill: `${colour}33` });
    }
    if (one.truth >= 0) series.push({ stroke: theme.ink, width: 1.25, dash: [4, 3], points: { show: false } });
    series.push({ stroke: colour, width: 1.5, points: { show: false } });
  }
  const grid = { stroke: theme.line, width: 1 };
  return {
    width, height, series, bands, ms: 1, cursor: { show: false }, legend: { show: false }, padding: [4, RIGHT, 4, 0],
    scales: { x: { time: false, range: () => [state.view.from, state.view.to] }, y: { range: () => [low - margin, high + margin] } },
    axes: [
      { show: false },
      { size: GUTTER, stroke: theme.quiet, font: "11px system-ui, sans-serif", grid, ticks: { show: false }, gap: 4, splits: () => [low, (low + high) / 2, high], values: (_, values) => values.map((value) => number(value, digits)) },
    ],
    hooks: {
      drawClear: [(plot) => {
        const ratio = devicePixelRatio || 1, { left, top, width: wide, height: high } = plot.bbox;
        paintVeil(plot.ctx, person, left, top, Math.max(1, Math.round(wide / ratio)), high, ratio);
      }],
    },
  };
}

/** Numbers of a lane in the view, as uPlot takes them. */
function linesData(person, lane, width) {
  const groups = groupsOf(person, state.view, Math.max(width, 100)), times = groupTimes(person, groups), found = [times];
  const pair = groups.size > 1;
  const weave = (low, high) => (pair ? low.flatMap((value, i) => [value, high[i]]) : low);
  const twice = (values) => (pair ? values.flatMap((value) => [value, value]) : values);
  for (const one of shownSeries(lane)) {
    const { low, high } = groupRanges(lane.data, groups, lane.columns[one.index]);
    if (one.spread >= 0) {
      const spread = groupRanges(lane.data, groups, lane.columns[one.spread]).high;
      const below = low.map((value, i) => (value === null || spread[i] === null ? null : value - spread[i]));
      const above = high.map((value, i) => (value === null || spread[i] === null ? null : value + spread[i]));
      found.push(twice(below), twice(above));
    }
    if (one.truth >= 0) {
      const truth = groupRanges(lane.data, groups, lane.columns[one.truth]);
      found.push(weave(truth.low, truth.high));
    }
    found.push(weave(low, high));
  }
  return found;
}

/** A lane of lines in `place`. */
function makeLines(person, lane, height) {
  const place = el("div", { className: "lines", role: "img", "aria-label": `${lane.title} of ${person.id} over time`, style: { height: `${height}px` } });
  let plot = null;
  const draw = () => {
    const width = place.clientWidth;
    if (!width) return;
    const numbers = linesData(person, lane, width - GUTTER - RIGHT);
    if (!plot) plot = new uPlot(linesOptions(person, lane, width, height), numbers, place);
    else plot.batch(() => {
      if (plot.width !== width) plot.setSize({ width, height });
      plot.setData(numbers, true);
    });
  };
  const restyle = () => {
    plot?.destroy();
    plot = null;
  };
  return { node: place, draw, restyle };
}

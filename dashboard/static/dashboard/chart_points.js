// A line joins neighbours: a reading without one, or a range of a single step, would not be seen.
const LONE_PX = 6;
const HALF_HOUR_MS = 30 * 60 * 1000;

const lone = (values) => values.map((value, at) => value !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null);

const isLine = (trace) => trace.type === "scatter" && trace.mode === "lines" && !trace.fill && Array.isArray(trace.y);

/** The traces, with a mark at each reading that has no neighbour. */
export const seen = (traces) =>
  traces.map((trace) => {
    const alone = isLine(trace) ? lone(trace.y) : [];
    if (!alone.includes(true)) return trace;
    const marker = { color: trace.line?.color, size: alone.map((is) => (is ? LONE_PX : 0)), line: { width: 0 } };
    return { ...trace, mode: "lines+markers", marker };
  });

/** The layout, with half an hour on either side where all traces have but one moment, and the same: Plotly would show a millisecond. */
export const withRoom = (layout, traces) => {
  if (layout.xaxis?.type !== "date" || layout.xaxis.range || !traces.every(isLine)) return layout;
  const moments = new Set(traces.flatMap((trace) => trace.x ?? []));
  if (moments.size !== 1) return layout;
  const at = new Date([...moments][0]).getTime();
  return { ...layout, xaxis: { ...layout.xaxis, range: [at - HALF_HOUR_MS, at + HALF_HOUR_MS] } };
};

// A figure as CSV: times in UTC as ISO 8601, units in the header. Lines and bars are wide, a column for each; heatmaps are long.
import { moment } from "./chart_time.js";

const titleOf = (axis) => (typeof axis?.title === "string" ? axis.title : axis?.title?.text) ?? "";
const axisOf = (layout, trace, letter) => {
  const name = trace[`${letter}axis`] ?? letter;
  return layout[`${letter}axis${name.slice(1)}`] ?? {};
};
const headed = (name, unit) => (unit && unit !== name ? (name ? `${name} (${unit})` : unit) : name);
const isTime = (axis) => axis.type === "date";
const keyTitle = (axis) => (isTime(axis) ? "time (UTC)" : titleOf(axis));

const written = (value, axis) => {
  if (value === null || value === undefined) return "";
  if (!isTime(axis) || /^\d{4}-\d\d-\d\d$/.test(value)) return value;
  const at = moment(value);
  return Number.isNaN(at) ? value : new Date(at).toISOString().replace(".000Z", "Z");
};

/** `[[cell, ...], ...]`, the header first. */
export const table = ({ data, layout }) => {
  const traces = data.filter((trace) => trace.visible !== false);
  const heat = traces.filter((trace) => trace.z);
  return heat.length ? longTable(heat, layout) : wideTable(traces, layout);
};

const longTable = (traces, layout) => {
  const [x, y] = ["x", "y"].map((letter) => axisOf(layout, traces[0], letter));
  const unit = titleOf(traces[0].colorbar) || titleOf(layout.coloraxis?.colorbar) || "value";
  const rows = traces.flatMap((trace) => trace.z.flatMap((row, j) => row.map((value, i) => [
    written(trace.x?.[i] ?? i, x), written(trace.y?.[j] ?? j, y), value ?? "",
  ])));
  return [[keyTitle(x) || "x", keyTitle(y) || "y", unit], ...rows];
};

const wideTable = (traces, layout) => {
  const sides = (trace) => (trace.orientation === "h" ? ["y", "x"] : ["x", "y"]);
  const rows = new Map(); // by the key's text, in the order of times and otherwise as they come
  traces.forEach((trace, column) => {
    const [key, value] = sides(trace);
    const axis = axisOf(layout, trace, key);
    (trace[key] ?? trace.labels ?? []).forEach((name, i) => {
      const text = written(name, axis);
      if (!rows.has(text)) rows.set(text, new Array(traces.length).fill(""));
      rows.get(text)[column] = (trace[value] ?? trace.values ?? [])[i] ?? "";
    });
  });
  const [key] = sides(traces[0] ?? {});
  const axis = axisOf(layout, traces[0] ?? {}, key);
  const names = traces.map((trace) => headed(trace.name ?? "", titleOf(axisOf(layout, trace, sides(trace)[1]))));
  const lines = [...rows].map(([name, cells]) => [name, ...cells]);
  if (isTime(axis)) lines.sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  return [[keyTitle(axis) || "name", ...names], ...lines];
};

// A cell that begins with one of these is a formula to a spreadsheet, and names come from customers (dashboard/csv.py).
const FORMULA = /^[=+\-@\t\r]/;

const cell = (value) => {
  const text = typeof value === "string" && FORMULA.test(value) && Number.isNaN(Number(value)) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

export const csv = (figure) => `${table(figure).map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;

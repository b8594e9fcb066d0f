// Deploys and alerts on charts over time, from the list below the charts (operator/_happenings.html).
import { moment, timeAxes } from "./chart_time.js";
import { escaped } from "./dom.js";

const LOOKS = {
  deploy: { colour: "--series-6", sign: "▼", name: "Deploy" },
  maintenance: { colour: "--series-4", sign: "◆", name: "Maintenance" },
  note: { colour: "--series-6", sign: "•", name: "Note" },
  alert: { colour: "--series-bad", sign: "!", name: "Alert" },
};

export const happeningsOf = (root) =>
  [...root.querySelectorAll("[data-happening]")].map((item) => ({
    kind: item.dataset.happening,
    at: moment(item.dataset.at),
    until: item.dataset.until ? moment(item.dataset.until) : "lasting" in item.dataset ? Infinity : null,
    text: item.querySelector("[data-text]")?.textContent.trim() ?? "",
  }));

/** Only between the first and the last point: what lies beyond would widen the axis. */
const extent = (data) => {
  const times = data.flatMap((trace) => trace.x ?? []).map(moment).filter(Number.isFinite);
  return times.length ? times.reduce(([low, high], at) => [Math.min(low, at), Math.max(high, at)], [Infinity, -Infinity]) : null;
};

/** `{shapes, annotations}` for the layout of a figure. */
export const marked = (figure, happenings) => {
  const found = happenings.length ? extent(figure.data) : null;
  if (!found) return {};
  const [first, last] = found;
  const [key] = timeAxes(figure.layout);
  const xref = key.replace("axis", "");
  const shapes = [];
  const annotations = [];
  for (const { kind, at, until, text } of happenings) {
    const { colour, sign, name } = LOOKS[kind] ?? LOOKS.note;
    const end = until === null ? at : until;
    if (end < first || at > last) continue;
    const [x0, x1] = [Math.max(at, first), Math.min(end, last)];
    if (x1 > x0) {
      // An alert is a strip on top: several at once would dye a whole chart.
      const look = kind === "alert" ? { y0: 0.975, opacity: 0.45 } : { y0: 0, opacity: 0.1 };
      shapes.push({ type: "rect", xref, yref: "paper", x0, x1, y1: 1, fillcolor: colour, line: { width: 0 }, layer: "below", ...look });
    }
    if (at < first) continue;
    shapes.push({ type: "line", xref, yref: "paper", x0, x1: x0, y0: 0, y1: 1, line: { color: colour, width: 1.25, dash: "dot" } });
    annotations.push({
      xref, yref: "paper", x: x0, y: 1, yanchor: "top", showarrow: false, captureevents: true,
      text: `<b>${sign}</b>`, font: { color: colour, size: 11 },
      hovertext: `${name}: ${escaped(text)}`,
      hoverlabel: { bgcolor: "--surface-raised", bordercolor: colour, font: { color: "--ink" } },
    });
  }
  return {
    shapes: [...(figure.layout.shapes ?? []), ...shapes],
    annotations: [...(figure.layout.annotations ?? []), ...annotations],
  };
};

// Draws the figures that dashboard/figures.py describes. A colour written "--name" is a token of tokens.css.
const probe = document.createElement("span");
probe.hidden = true;
document.documentElement.append(probe);

const colourOf = (token) => {
  probe.style.color = `var(${token})`;
  return getComputedStyle(probe).color;
};

const themed = (value) => {
  if (typeof value === "string") return value.startsWith("--") ? colourOf(value) : value;
  if (Array.isArray(value)) return value.map(themed);
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, themed(inner)]));
  }
  return value;
};

const read = (root, id) => {
  const holder = root.querySelector(`#${id}`);
  return holder ? JSON.parse(holder.textContent) : null;
};

const hasNumbers = (trace) => trace.y?.some((value) => value !== null && value !== 0);

// On a narrow page a legend takes a line for each trace, which would leave little of the plot.
const NARROW_PX = 520;
const LEGEND_LINE_PX = 19;
const roomForLegend = (place, traces) =>
  (place.clientWidth < NARROW_PX ? Math.max(0, traces - 2) * LEGEND_LINE_PX : 0);

/** All charts below `root`; `series` (optional) holds the numbers of the traces by uid. */
export class Charts {
  constructor(root) {
    this.root = root;
    this.figures = read(root, "figures") ?? {};
    this.series = read(root, "series");
    this.draw();
  }

  update(series) {
    this.series = series;
    this.draw();
  }

  draw() {
    for (const [id, figure] of Object.entries(this.figures)) {
      const place = this.root.querySelector(`#${id}`);
      if (place) this.drawOne(place, figure);
    }
  }

  drawOne(place, figure) {
    const data = themed(figure.data).map((trace) =>
      trace.uid && this.series ? { ...trace, x: this.series.x, y: this.series.y[trace.uid] } : trace);
    const reading = this.series?.x.length === 0;
    place.closest(".chart").classList.toggle("is-empty", !reading && !data.some(hasNumbers));
    const layout = themed(figure.layout);
    layout.height += roomForLegend(place, data.length);
    place.style.height = `${layout.height}px`;
    Plotly.react(place, data, layout, { displayModeBar: false, responsive: true });
  }

  close() {
    for (const id of Object.keys(this.figures)) {
      const place = this.root.querySelector(`#${id}`);
      if (place) Plotly.purge(place);
    }
  }
}

// Every chart's menu: its numbers as CSV, its picture as PNG.
import { csv } from "./chart_csv.js";
import { button, escaped } from "./dom.js";

const PNG_SCALE = 2;
const TITLE_PX = 34;
const ICON = '<svg width="14" height="14" viewBox="0 0 16 16" aria-hidden="true" fill="currentColor"><circle cx="3" cy="8" r="1.5"/><circle cx="8" cy="8" r="1.5"/><circle cx="13" cy="8" r="1.5"/></svg>';

const titleOf = (place) => {
  const named = document.getElementById(place.getAttribute("aria-labelledby") ?? "");
  return (named?.textContent ?? place.getAttribute("aria-label") ?? "Chart").trim();
};

const fileName = (place, ending) => {
  const name = titleOf(place).toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
  return `tallywatt-${name || "chart"}-${new Date().toISOString().slice(0, 16).replace(/[-:]/g, "")}Z.${ending}`;
};

export const addMenu = (charts, place, id) => {
  const chart = place.closest(".chart");
  if (place.dataset.menu) return;
  place.dataset.menu = id;
  const menu = document.createElement("details");
  menu.className = "menu chart-menu";
  menu.innerHTML = `<summary>${ICON}</summary><div class="menu-body"></div>`;
  menu.querySelector("summary").setAttribute("aria-label", `${titleOf(place)}: copy or save`);
  const said = document.createElement("span");
  said.className = "chart-said";
  said.setAttribute("role", "status");
  const act = (work) => async () => {
    menu.open = false;
    menu.querySelector("summary").focus();
    said.textContent = await work();
    clearTimeout(said.timer);
    said.timer = setTimeout(() => { said.textContent = ""; }, 4000);
  };
  menu.querySelector(".menu-body").append(
    button("Copy as CSV", act(() => copy(charts.figures[id], place))),
    button("Save as CSV", act(() => saveCsv(charts.figures[id], place))),
    button("Save as PNG", act(() => savePng(charts, charts.figures[id], place))),
  );
  home(place, chart).append(said, menu);
};

/** The header of the chart's panel; a chart that shares its panel with others has its menu in its own corner. */
const home = (place, chart) => {
  const panel = place.closest(".panel");
  const header = panel?.querySelectorAll(".plot").length === 1 ? panel.querySelector("header") : null;
  if (header) return header;
  const corner = document.createElement("div");
  corner.className = "chart-corner";
  chart.prepend(corner);
  return corner;
};


const copy = async (figure, place) => {
  try {
    await navigator.clipboard.writeText(csv(figure));
    return "Copied";
  } catch { // no permission, or a page that did not come by https
    return saveCsv(figure, place);
  }
};

const saveCsv = (figure, place) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv(figure)], { type: "text/csv;charset=utf-8" }));
  link.download = fileName(place, "csv");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  return "Saved";
};

const savePng = async (charts, figure, place) => {
  const { data, layout } = charts.drawn(figure);
  const colours = getComputedStyle(document.documentElement);
  const surface = getComputedStyle(place.closest(".panel") ?? document.body).backgroundColor;
  charts.time.fit(layout);
  const shown = document.querySelector("[data-fold] > summary")?.textContent.replace(/^Filters: /, "").trim();
  const demo = document.querySelector(".notice") ? ", demo data" : "";
  const width = Math.max(place.clientWidth, 640);
  Object.assign(layout, {
    width, height: place.clientHeight + TITLE_PX, paper_bgcolor: surface, plot_bgcolor: surface,
    margin: { ...layout.margin, t: (layout.margin?.t ?? 8) + TITLE_PX },
    title: {
      text: escaped(`${titleOf(place)}${shown ? ` (${shown}${demo})` : demo}`), x: 0, xref: "paper", xanchor: "left", y: 0.99, yanchor: "top",
      font: { size: 13, color: colours.color },
    },
  });
  try {
    await Plotly.downloadImage({ data, layout }, {
      format: "png", scale: PNG_SCALE, width, height: layout.height, filename: fileName(place, "png").replace(/\.png$/, ""),
    });
    return "Saved";
  } catch {
    return "The picture could not be made";
  }
};

// Bars over the time: how high, by the largest area that moved; darker, the more events there were.
import { clock, day, position, share } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import uPlot from "../vendor/uplot.js";

const HEIGHT = 130;
const LEAST = 0.0005; // share of the frame: the scale is logarithmic, since events differ a thousandfold
const MARKS = [0.001, 0.01, 0.1, 1];

// A colour as the canvas takes it, of a custom property with light-dark().
export function color(name) {
  const probe = document.createElement("i");
  probe.className = `probe ${name}`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const LONG = 2 * 86400; // s, from which on days say more than hours

const timeOf = (bars) => (at) => {
  if (bars.files) return position(at).replace(/\.0$/, "");
  return bars.end - bars.begin > LONG ? day(at * 1000) : clock(at * 1000).slice(0, 5);
};

function options(width, bars, onPick, onHover) {
  const axis = { stroke: color("dim"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, 24, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: !bars.files, range: [bars.begin, bars.end] },
      y: { distr: 3, log: 10, range: [LEAST, 1] },
    },
    axes: [
      { ...axis, values: (plot, splits) => splits.map(timeOf(bars)), space: 80, size: 30, grid: { show: false } },
      { ...axis, size: 56, splits: MARKS, filter: (plot, splits) => splits, values: (plot, splits) => splits.map(share) },
    ],
    series: [
      {},
      { fill: color("main"), stroke: color("main"), width: 0, points: { show: false },
        paths: uPlot.paths.bars({ size: [0.8, 40, 2], align: 1 }) },
    ],
    hooks: {
      setCursor: [(plot) => onHover(plot.cursor.idx)],
      ready: [(plot) => plot.over.addEventListener("click", () => onPick(plot.posToVal(plot.cursor.left, "x")))],
    },
  };
}

export function Timeline({ bars, onPick }) {
  const element = useRef(null);
  const [hover, setHover] = useState(null);
  const data = [bars.bars.map((bar) => bar.at), bars.bars.map((bar) => Math.max(bar.peak_area, 2 * LEAST))];
  useEffect(() => {
    const within = element.current;
    let width = 0;
    const draw = () => {
      width = within.clientWidth;
      within.replaceChildren();
      if (width > 0) new uPlot(options(width, bars, onPick, setHover), data, within);
    };
    draw();
    const watch = new ResizeObserver(() => within.clientWidth !== width && draw());
    watch.observe(within);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => (watch.disconnect(), dark.removeEventListener("change", draw));
  }, [bars.begin, bars.end, JSON.stringify(data)]);
  const all = bars.bars.reduce((sum, bar) => sum + bar.events, 0);
  const over = bars.bars[hover];
  const time = timeOf(bars);
  return html`<figure class="card timeline">
    <figcaption class="caption"><h2>${all} ${all === 1 ? "event" : "events"}</h2>
      <span class="state">${over ? `${time(over.at)}: ${over.events}, up to ${share(over.peak_area)} of the picture` : "Height: how much of the picture moved"}</span></figcaption>
    <div class="plot" ref=${element} role="img" aria-label="Timeline of ${all} events"></div>
  </figure>`;
}

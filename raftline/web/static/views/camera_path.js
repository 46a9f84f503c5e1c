// The way that the picture takes because the camera moves, before and after stabilization, while one looks.
import { html, useEffect, useRef, useState } from "../html.js";
import uPlot from "../vendor/uplot.js";
import { color } from "./timeline.js";

const HEIGHT = 220;
const SECONDS = 30;
const DRAW = 250; // ms, between two drawings
const LINES = [["Sideways, as filmed", "dim", []], ["Up and down, as filmed (dashed)", "dim", [4, 4]], ["Sideways, stabilized", "main", []], ["Up and down, stabilized (dashed)", "main", [4, 4]]];

// How far a 3x3 matrix moves the middle of the picture, px.
function moved(m, width, height) {
  const [x, y] = [width / 2, height / 2];
  const depth = m[6] * x + m[7] * y + m[8];
  return [(m[0] * x + m[1] * y + m[2]) / depth - x, (m[3] * x + m[4] * y + m[5]) / depth - y];
}

/** Adds up what is told of each frame; exported for tests. `rows`: [time s, x, y, x stabilized, y stabilized], px. */
export class Path {
  constructor() {
    this.rows = [];
    this.at = [0, 0];
  }

  take({ t, camera, correction, width, height }) {
    const last = this.rows.at(-1);
    if (camera && (!last || t > last[0])) {
      const [x, y] = moved(camera, width, height);
      this.at = [this.at[0] + x, this.at[1] + y];
      this.rows.push([t, ...this.at, null, null]);
      while (this.rows[0][0] < t - SECONDS) this.rows.shift();
    }
    const row = correction && this.rows.findLast((each) => Math.abs(each[0] - t) < 0.003);
    if (row) {
      const [x, y] = moved(correction, width, height);
      [row[3], row[4]] = [row[1] + x, row[2] + y];
    }
  }

  columns() {
    return [0, 1, 2, 3, 4].map((index) => this.rows.map((row) => row[index]));
  }
}

function options(width) {
  const axis = { stroke: color("dim"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    cursor: { show: false },
    legend: { live: false },
    scales: { x: { time: false } },
    axes: [{ ...axis, values: (plot, splits) => splits.map((at) => `${at} s`) }, { ...axis, size: 60, values: (plot, splits) => splits.map((at) => `${at} px`) }],
    series: [{}, ...LINES.map(([label, name, dash]) => ({ label, stroke: color(name), dash, width: 1.5, points: { show: false }, spanGaps: true }))],
  };
}

export function CameraPath({ follow }) {
  const element = useRef(null);
  const [moves, setMoves] = useState(false);
  useEffect(() => {
    const way = new Path();
    let plot = null;
    const draw = () => {
      if (document.hidden || !way.rows.length) return;
      setMoves(true);
      const width = element.current.clientWidth;
      plot ??= new uPlot(options(width), way.columns(), element.current);
      if (plot.width !== width) plot.setSize({ width, height: HEIGHT });
      plot.setData(way.columns());
    };
    const unfollow = follow((message) => way.take(message));
    const timer = setInterval(draw, DRAW);
    return () => (clearInterval(timer), unfollow(), plot?.destroy());
  }, []);
  return html`<section class="card" aria-label="The camera's path"><div class="caption"><h2>The camera's path</h2>
      <span class="state">how far the picture has moved since you look</span></div>
    ${!moves && html`<p class="note">Nothing is known of the camera's motion yet.</p>`}
    <div class="path" ref=${element} role="img" aria-label="The camera's path over the last ${SECONDS} seconds"></div></section>`;
}

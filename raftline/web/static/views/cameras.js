// How each source and each stage does.
import { duration, number } from "../format.js";
import { html } from "../html.js";
import { Progress, State, Why } from "./source.js";

const COLUMNS = ["Stage", "Frames", "fps", "Dropped", "Latency", "99 %", "Restarts"];

function Stages({ source }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Stages of ${source.name}"><table>
    <thead><tr>${COLUMNS.map((title) => html`<th scope="col">${title}</th>`)}</tr></thead>
    <tbody>${source.stages.map(
      (stage) => html`<tr key=${stage.name}>
        <th scope="row">${stage.name}</th>
        <td>${number(stage.frames)}</td><td>${number(stage.fps, 1)}</td>
        <td class=${stage.dropped ? "warn" : ""}>${number(stage.dropped)}</td>
        <td>${milliseconds(stage.latency_ms)}</td><td>${milliseconds(stage.latency_p99_ms)}</td>
        <td class=${stage.restarts ? "warn" : ""}>${number(stage.restarts)}</td>
      </tr>`,
    )}</tbody></table></div>`;
}

const milliseconds = (value) => (value === null ? "–" : `${number(value)} ms`);

function Source({ source }) {
  return html`<section class="card" aria-label=${source.name}>
    <div class="caption"><h2>${source.name}</h2><${State} source=${source} /></div>
    <p class="address">${source.input}</p>
    <${Progress} source=${source} />
    <${Why} source=${source} />
    <${Stages} source=${source} />
  </section>`;
}

function Machine({ run }) {
  const busy = run.workers.reduce((sum, worker) => sum + (worker.cpu_percent || 0), 0);
  return html`<dl class="figures wide">
    <div><dt>Running for</dt><dd>${duration(run.seconds)}</dd></div>
    <div><dt>Cameras</dt><dd>${run.sources.length}</dd></div>
    <div><dt>CPU</dt><dd>${number(busy / 100, 1)} of ${run.cores} cores</dd></div>
    ${run.workers.map(
      (worker) => html`<div><dt>${worker.stage}</dt><dd>${number(worker.cpu_percent)} %</dd></div>`,
    )}
  </dl>`;
}

export function Cameras({ run }) {
  return html`<h1 class="hidden">Cameras</h1>
    ${run.error && html`<p class="trouble" role="alert">${run.error}</p>`}
    <${Machine} run=${run} />
    ${run.sources.map((source) => html`<${Source} key=${source.name} source=${source} />`)}`;
}

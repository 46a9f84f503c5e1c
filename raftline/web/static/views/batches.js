// Batches of files that write into the directory of the results, with their progress.
import { get } from "../api.js";
import { duration } from "../format.js";
import { html, useEffect, useState } from "../html.js";

const REFRESH = 2000; // ms

function Batch({ batch }) {
  const share = (batch.done + Object.values(batch.running).reduce((sum, each) => sum + (each || 0), 0)) / (batch.files || 1);
  const left = batch.seconds_left === null ? "" : `, ${duration(batch.seconds_left)} left`;
  const failed = batch.failed ? html`<span class="trouble">${batch.failed} failed</span>` : null;
  return html`<section class="card" aria-label="Batch ${batch.name}">
    <div class="caption"><h2>Batch ${batch.name}</h2>
      <span class="state" role="status"><i class="led ${batch.goes_on ? "good" : "off"}"></i>${batch.done} of ${batch.files} files done${left}</span>
      ${failed}${!batch.goes_on && html`<span class="state">${batch.done < batch.files ? "stopped" : "ended"}</span>`}</div>
    ${batch.goes_on && html`<label class="progress"><progress max="1" value=${share} aria-label="The whole batch"></progress>${Math.floor(100 * share)} %</label>
      ${Object.entries(batch.running).map(([name, done]) => html`<label class="progress" key=${name}>${name}
        <progress max="1" value=${done ?? undefined} aria-label=${name}></progress>${done === null ? "" : `${Math.floor(100 * done)} %`}</label>`)}`}
  </section>`;
}

export function useBatches() {
  const [batches, setBatches] = useState([]);
  useEffect(() => {
    const load = () => document.hidden || get("/batches").then(setBatches, () => {});
    load();
    const again = setInterval(load, REFRESH);
    return () => clearInterval(again);
  }, []);
  return batches;
}

export function Batches({ batches }) {
  return batches.map((batch, index) => html`<${Batch} key=${index} batch=${batch} />`);
}

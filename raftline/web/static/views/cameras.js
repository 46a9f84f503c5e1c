// How each source and each stage does, and which cameras there are.
import { get, path, send } from "../api.js";
import { duration, number } from "../format.js";
import { html, useEffect, useState } from "../html.js";
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

// Whether what one changes is kept in the configuration; `file`: what the server says of that.
function Keep({ file }) {
  if (!file) return null;
  return file.why_not
    ? html`<p class="warn wide">It holds until the run ends, and is not kept: ${file.why_not}.</p>`
    : html`<label class="tick wide"><input type="checkbox" name="keep" checked /> Keep it in ${file.name}, for later runs</label>`;
}

function CameraForm({ title, named, work, file }) {
  const [said, setSaid] = useState(["", ""]);
  const submit = async (event) => {
    event.preventDefault();
    const form = event.target;
    const given = Object.fromEntries(new FormData(form));
    setSaid(["Asking the run …", "dim"]);
    try {
      const done = await work({ ...given, keep: given.keep === "on" });
      form.reset();
      setSaid([sentence(done), done.warning ? "warn" : "dim"]);
    } catch (error) {
      setSaid([error.message, "trouble"]);
    }
  };
  return html`<form class="row" aria-label=${title} onSubmit=${submit}>
    ${named && html`<label>Name <input name="name" required maxlength="100" autocomplete="off" /></label>`}
    <label class="wide">Address <input name="input" required maxlength="1000" autocomplete="off" spellcheck="false"
      placeholder="rtsp://user:password@host/path" /></label>
    <button>${title}</button>
    <${Keep} file=${file} />
    <p role="status" class="wide ${said[1]}">${said[0]}</p>
  </form>`;
}

const sentence = (done) => (done.warning ? `${done.remark}. ${done.warning}` : done.remark);

function Changes({ source, file, onDone }) {
  const [sure, setSure] = useState(false);
  const [trouble, setTrouble] = useState("");
  const remove = () =>
    sure
      ? send("DELETE", path("sources", source.name)).then(onDone, (error) => setTrouble(error.message))
      : setSure(true);
  return html`<details><summary>Change</summary>
    <${CameraForm} title="Change the address" file=${file} work=${(given) => send("PUT", path("sources", source.name), given)} />
    <div class="row"><button class="danger" onClick=${remove}>${sure ? "Remove for good?" : "Remove the camera"}</button>
      <p class="trouble" role="status">${trouble}</p></div>
  </details>`;
}

function Source({ source, mayChange, file, onDone }) {
  return html`<section class="card" aria-label=${source.name}>
    <div class="caption"><h2>${source.name}</h2><${State} source=${source} /></div>
    <p class="address">${source.input}</p>
    <${Progress} source=${source} />
    <${Why} source=${source} />
    <${Stages} source=${source} />
    ${mayChange && source.live && html`<${Changes} ...${{ source, file, onDone }} />`}
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

export function Cameras({ run, mayChange }) {
  const [file, setFile] = useState(null);
  const [done, setDone] = useState(null);
  useEffect(() => {
    if (mayChange) get("/configuration").then(setFile, () => {});
  }, [run.name, run.started, mayChange]);
  return html`<h1 class="hidden">Cameras</h1>
    ${run.error && html`<p class="trouble" role="alert">${run.error}</p>`}
    ${done && html`<p role="status" class=${done.warning ? "warn" : "dim"}>${sentence(done)}</p>`}
    <${Machine} run=${run} />
    ${run.sources.map((source) => html`<${Source} key=${source.name} ...${{ source, mayChange, file, onDone: setDone }} />`)}
    ${mayChange &&
    html`<section class="card" aria-label="Another camera"><div class="caption"><h2>Another camera</h2></div>
      <${CameraForm} title="Add the camera" named file=${file} work=${(given) => send("POST", "/sources", given)} /></section>`}`;
}

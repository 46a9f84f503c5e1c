// Every camera of the run, as it is now; or one of them, large.
import { number } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { Batches, useBatches } from "./batches.js";
import { Camera } from "./camera.js";
import { Progress, State, Trouble, Why } from "./source.js";

// The live picture is a part of its own; where the server has none, the card does without.
const live = import("../live.js").catch(() => null);

function useLive() {
  const [mountLive, setMountLive] = useState(null);
  useEffect(() => {
    live.then((part) => setMountLive(() => part?.mountLive ?? null));
  }, []);
  return mountLive;
}

function Picture({ source, mountLive }) {
  const element = useRef(null);
  useEffect(() => {
    if (!mountLive || !source.live) return undefined;
    return mountLive(element.current, { source: source.name });
  }, [source.name, source.live, mountLive]);
  return html`<div class="picture" ref=${element}>${!source.live && html`<p class="note">No live picture</p>`}</div>`;
}

const place = (view, source) => `#/${view}/${encodeURIComponent(source.name)}`;

function Card({ source, mountLive }) {
  return html`<article class="card" aria-label=${source.name}>
    <${Picture} ...${{ source, mountLive }} />
    <div class="caption">
      <h2><a class="plain" href=${place("live", source)}>${source.name}</a></h2>
      <${State} source=${source} />
      <span class="figures">${number(source.fps, 1)} fps</span>
      <nav aria-label="Of ${source.name}"><a href=${place("live", source)}>Open</a>
        <a href=${place("events", source)}>Events</a><a href=${place("zones", source)}>Zones</a></nav>
    </div>
    <${Progress} source=${source} />
    <${Why} source=${source} />
    <${Trouble} source=${source} />
  </article>`;
}

export function Live({ run, rest }) {
  const mountLive = useLive();
  const batches = useBatches();
  const one = run.sources.find((source) => source.name === rest[0]);
  if (one) return html`<${Camera} key=${one.name} ...${{ source: one, mountLive }} />`;
  if (!run.sources.length && !batches.length) return html`<p class="note">No camera is watched at the moment.</p>`;
  return html`<h1 class="hidden">Live</h1>
    <${Batches} batches=${batches} />
    <div class="wall" data-many=${run.sources.length > 1}>
      ${run.sources.map((source) => html`<${Card} key=${source.name} ...${{ source, mountLive }} />`)}
    </div>`;
}

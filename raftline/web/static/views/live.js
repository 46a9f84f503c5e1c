// Every camera of the run, as it is now.
import { path } from "../api.js";
import { number } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { Dialog } from "./dialog.js";
import { Progress, State, Why } from "./source.js";

// The live picture is a part of its own; where the server has none, the card does without.
const live = import("../live.js").catch(() => null);

function Picture({ source }) {
  const element = useRef(null);
  const [there, setThere] = useState(true);
  useEffect(() => {
    let unmount = () => {};
    let gone = false;
    live.then((part) => {
      if (gone) return;
      if (!part || !source.live) setThere(false);
      else unmount = part.mountLive(element.current, { source: source.name }) || unmount;
    });
    return () => ((gone = true), unmount());
  }, [source.name, source.live]);
  return html`<div class="picture" ref=${element}>${!there && html`<p class="note">No live picture</p>`}</div>`;
}

function Heat({ source, onClose }) {
  const [there, setThere] = useState(true);
  return html`<${Dialog} title="Where something moved: ${source.name}" onClose=${onClose}>
    <div class="picture">${there
      ? html`<img src="/api${path("sources", source.name)}/heat?at=${Math.floor(Date.now() / 10000)}" alt="Heat map of ${source.name}" onError=${() => setThere(false)} />`
      : html`<p class="note">There is no heat map yet; the stage heat_map writes one every minute.</p>`}</div>
  </${Dialog}>`;
}

function Card({ source, onHeat }) {
  return html`<article class="card" aria-label=${source.name}>
    <${Picture} source=${source} />
    <div class="caption">
      <h2>${source.name}</h2>
      <${State} source=${source} />
      <span class="figures">${number(source.fps, 1)} fps</span>
      <nav aria-label="Of ${source.name}"><a href="#/events/${encodeURIComponent(source.name)}">Events</a>
        <button class="quiet" onClick=${() => onHeat(source)}>Heat map</button></nav>
    </div>
    <${Progress} source=${source} />
    <${Why} source=${source} />
  </article>`;
}

export function Live({ run }) {
  const [heat, setHeat] = useState(null);
  if (!run.sources.length) return html`<p class="note">No camera is watched at the moment.</p>`;
  return html`<h1 class="hidden">Live</h1>
    <div class="wall" data-many=${run.sources.length > 1}>
      ${run.sources.map((source) => html`<${Card} key=${source.name} source=${source} onHeat=${setHeat} />`)}
    </div>
    ${heat && html`<${Heat} source=${heat} onClose=${() => setHeat(null)} />`}`;
}

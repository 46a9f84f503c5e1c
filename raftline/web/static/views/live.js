// Every camera of the run, as it is now.
import { number } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
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

function Card({ source }) {
  return html`<article class="card" aria-label=${source.name}>
    <${Picture} source=${source} />
    <div class="caption">
      <h2>${source.name}</h2>
      <${State} source=${source} />
      <span class="figures">${number(source.fps, 1)} fps</span>
    </div>
    <${Progress} source=${source} />
    <${Why} source=${source} />
  </article>`;
}

export function Live({ run }) {
  if (!run.sources.length) return html`<p class="note">No camera is watched at the moment.</p>`;
  return html`<h1 class="hidden">Live</h1>
    <div class="wall" data-many=${run.sources.length > 1}>
      ${run.sources.map((source) => html`<${Card} key=${source.name} source=${source} />`)}
    </div>`;
}

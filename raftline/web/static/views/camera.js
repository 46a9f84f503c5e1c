// One camera, large: its picture, its path, and where something moved.
import { path } from "../api.js";
import { number } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { CameraPath } from "./camera_path.js";
import { Progress, State, Trouble, Why } from "./source.js";

const AGAIN = 30000; // ms, between two looks at the heat map

function Heat({ source }) {
  const [at, setAt] = useState(Date.now());
  const [there, setThere] = useState(true);
  useEffect(() => {
    const again = setInterval(() => document.hidden || (setThere(true), setAt(Date.now())), AGAIN);
    return () => clearInterval(again);
  }, [source.name]);
  return html`<section class="card" aria-label="Heat map"><div class="caption"><h2>Where something moved</h2></div>
    ${there
      ? html`<img class="heat" src="/api${path("sources", source.name)}/heat?at=${at}" alt="Heat map of ${source.name}" onError=${() => setThere(false)} />`
      : html`<p class="note">There is no heat map yet; the stage heat_map writes one every minute.</p>`}
  </section>`;
}

export function Camera({ source, mountLive }) {
  const element = useRef(null);
  const listeners = useRef(new Set());
  const onTold = (message) => listeners.current.forEach((each) => each(message));
  useEffect(() => {
    if (!mountLive || !source.live) return undefined;
    return mountLive(element.current, { source: source.name, overlays: ["mask", "boxes", "path"], onTold });
  }, [source.name, source.live, mountLive]);
  const follow = (listener) => {
    listeners.current.add(listener);
    return () => listeners.current.delete(listener);
  };
  return html`<div class="row"><h1>${source.name}</h1><${State} source=${source} />
      <span class="state">${number(source.fps, 1)} fps</span>
      <nav class="push row" aria-label="Of ${source.name}"><a href="#/events/${encodeURIComponent(source.name)}">Events</a>
        <a href="#/zones/${encodeURIComponent(source.name)}">Zones</a><a href="#/live">All cameras</a></nav></div>
    <${Why} source=${source} /><${Trouble} source=${source} /><${Progress} source=${source} />
    <section class="card" aria-label="Live"><div class="picture large" ref=${element}>
      ${!source.live && html`<p class="note">Files have no live picture.</p>`}</div></section>
    <div class="wall" data-many="true">
      ${source.live && html`<${CameraPath} key=${source.name} follow=${follow} />`}
      <${Heat} source=${source} />
    </div>`;
}

// How an event is told, in a list and alone.
import { path } from "../api.js";
import { clock, duration, position } from "../format.js";
import { html } from "../html.js";

export function when(event) {
  return event.live ? clock(event.at * 1000) : position(event.at);
}

export const lasts = (event) => (event.until === null ? "goes on" : duration(event.until - event.at));

export function Arrow({ degrees }) {
  if (degrees === null) return null;
  return html`<svg class="arrow" viewBox="-8 -8 16 16" role="img" aria-label="towards ${Math.round(degrees)} degrees">
    <path d="M-6 0H5M1-4l4 4-4 4" transform="rotate(${degrees})" /></svg>`;
}

export const thumbnail = (event) => `/api${path("sources", event.source, "events", event.number)}/thumbnail`;

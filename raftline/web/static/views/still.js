// A still picture of a source to draw on: the newest frame, or else the image of its newest event.
import { get, path, query } from "../api.js";
import { html, useEffect, useState } from "../html.js";
import { thumbnail } from "./event_words.js";

export function Still({ source, children }) {
  const [address, setAddress] = useState(null);
  const [size, setSize] = useState([16, 9]);
  useEffect(() => setAddress(`/api/live${path(source)}/jpeg?at=${Date.now()}`), [source]);
  const other = async () => {
    if (!address?.startsWith("/api/live")) return setAddress("");
    const { events } = await get(`/events?${query({ source, most: 20 })}`).catch(() => ({ events: [] }));
    const shown = events.find((event) => event.has_thumbnail);
    return setAddress(shown ? thumbnail(shown) : "");
  };
  const loaded = (event) => setSize([event.target.naturalWidth, event.target.naturalHeight]);
  return html`<div class="picture still" ref=${(element) => element && (element.style.aspectRatio = size.join("/"))}>
    ${address && html`<img src=${address} alt="Still picture of ${source}" onLoad=${loaded} onError=${other} />`}
    ${address === "" && html`<p class="note">No picture of ${source} yet; you can draw without one.</p>`}
    ${children}
  </div>`;
}

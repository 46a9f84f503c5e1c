// One event: its clip or its image, the way of what moved, and what somebody says of it.
import { get, path, send } from "../api.js";
import { day, number, share } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { Dialog } from "./dialog.js";
import { Arrow, lasts, thumbnail, when } from "./event_words.js";

function Clip({ address, begins }) {
  const video = useRef(null);
  useEffect(() => {
    const begin = () => {
      if (video.current) video.current.currentTime = begins; // the dialog may be closed before its clip is known
    };
    video.current.addEventListener("loadedmetadata", begin, { once: true });
  }, [begins]);
  return html`<video ref=${video} src="${address}/clip.mp4" controls autoplay muted playsinline aria-label="Clip of the event"></video>`;
}

function Way({ event }) {
  if (event.path.length < 2) return null;
  const [, x, y] = event.path.at(-1);
  return html`<svg class="way" viewBox="0 0 ${event.width} ${event.height}" aria-hidden="true">
    <polyline points=${event.path.map(([, px, py]) => `${px},${py}`).join(" ")} /><circle cx=${x} cy=${y} r=${event.width / 100} /></svg>`;
}

function Picture({ event, address }) {
  const [clip, setClip] = useState(null);
  const [still, setStill] = useState(false);
  useEffect(() => {
    get(address.slice(4) + "/clip").then(setClip, () => setClip({ there: false }));
  }, [address, event.has_clip]);
  const playing = clip?.there && !still;
  return html`<div class="picture">
    ${playing
      ? html`<${Clip} address=${address} begins=${clip.begins_seconds} />`
      : event.has_thumbnail
        ? html`<img src=${thumbnail(event)} alt="The event at its largest" />`
        : html`<p class="note">No image</p>`}
    ${!playing && html`<${Way} event=${event} />`}
    ${clip?.there && html`<button class="over" aria-pressed=${still} onClick=${() => setStill(!still)}>Way</button>`}
  </div>`;
}

function Figures({ event }) {
  const facts = [
    ["Camera", event.source],
    ["Begin", event.live ? `${day(event.at * 1000)}, ${when(event)}` : when(event)],
    ["Duration", `${lasts(event)}${event.cut_short ? " (cut short)" : ""}`],
    ["Area", share(event.peak_area)],
    ["Speed", event.speed_px_s === null ? "–" : html`${number(event.speed_px_s)} px/s <${Arrow} degrees=${event.direction_degrees} />`],
    ["Zones", event.zones.join(", ") || "–"],
  ];
  return html`<dl class="figures wide">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

export function EventDialog({ event, mayChange, onClose, onChange }) {
  const [trouble, setTrouble] = useState("");
  const [sure, setSure] = useState(false);
  const address = `/api${path("sources", event.source, "events", event.number)}`;
  const attempt = async (work) => {
    try {
      await work();
      setTrouble("");
    } catch (error) {
      setTrouble(error.message);
    }
  };
  const say = (label) =>
    attempt(async () => {
      const given = event.label === label ? null : label;
      await send("PUT", `${address.slice(4)}/label`, { label: given });
      onChange({ ...event, label: given });
    });
  const remove = () => (sure ? attempt(async () => (await send("DELETE", address.slice(4)), onChange(null))) : setSure(true));
  return html`<${Dialog} title="Event at ${when(event)}" onClose=${onClose}>
    <${Picture} event=${event} address=${address} />
    <div class="body">
      <${Figures} event=${event} />
      ${event.uncertain && html`<p class="warn">It may have been the camera, or scenery at another depth.</p>`}
      ${trouble && html`<p class="trouble" role="alert">${trouble}</p>`}
      <div class="row">
        ${mayChange && html`<button aria-pressed=${event.label === "event"} onClick=${() => say("event")}>This was an event</button>
          <button aria-pressed=${event.label === "no event"} onClick=${() => say("no event")}>This was no event</button>`}
        ${event.has_clip && html`<a class="button" href="${address}/clip.mp4?download=true" download>Download</a>`}
        ${mayChange && html`<button class="danger push" onClick=${remove}>${sure ? "Delete for good?" : "Delete"}</button>`}
      </div>
    </div>
  </${Dialog}>`;
}

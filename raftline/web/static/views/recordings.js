// What a search through recordings has found so far.
import { clock, day, duration, share } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { cancel, clip, forget, useSearch } from "../recordings.js";
import { Dialog } from "./dialog.js";

const WORDS = { done: "done", cancelled: "cancelled", failed: "failed" };

function Progress({ search }) {
  const { progress } = search;
  if (search.state !== "running") return null;
  const left = progress?.seconds_left == null ? "" : `, ${duration(progress.seconds_left)} left`;
  return html`<label class="progress"><progress max="1" value=${progress?.share ?? 0} aria-label="Recordings looked through"></progress>
    ${progress ? `Recording ${progress.clip} of ${progress.clips}${left}` : "Starting …"}</label>`;
}

function Card({ sight, onOpen }) {
  return html`<li><button class="event" onClick=${() => onOpen(sight)}>
    <span class="picture"><img src="data:image/jpeg;base64,${sight.picture}" alt="" /></span>
    <span class="words"><b>${clock(sight.at * 1000)}</b> <span>${day(sight.at * 1000)}</span>
      <span class="dim">${duration(sight.until - sight.at)}, ${share(sight.peak_area)}</span></span>
  </button></li>`;
}

function Sight({ sight, source, onClose }) {
  const video = useRef(null);
  useEffect(() => {
    const begin = () => (video.current.currentTime = Math.max(0, sight.begin_seconds - 1));
    video.current.addEventListener("loadedmetadata", begin, { once: true });
  }, [sight]);
  return html`<${Dialog} title="${source}, ${day(sight.at * 1000)}, ${clock(sight.at * 1000)}" onClose=${onClose}>
    <div class="picture"><video ref=${video} src=${clip(source, sight.recording)} controls autoplay muted playsinline aria-label="Recording"></video></div>
    <div class="body"><div class="row"><a class="button" href=${clip(source, sight.recording)} download=${sight.recording}>Download</a></div></div>
  </${Dialog}>`;
}

export function Recordings() {
  const search = useSearch();
  const [opened, setOpened] = useState(null);
  if (!search) return null;
  const count = search.found.length;
  return html`<section class="card search" aria-label="Search in recordings">
    <div class="caption"><h2>In the recordings of ${search.source}</h2>
      <span class="state" role="status">${count} found${search.state === "running" ? " so far" : `, ${WORDS[search.state]}`}</span>
      <span class="actions">${search.state === "running"
        ? html`<button onClick=${cancel}>Cancel</button>`
        : html`<button onClick=${forget}>Close</button>`}</span></div>
    <${Progress} search=${search} />
    ${search.trouble && html`<p class="trouble" role="alert">${search.trouble}</p>`}
    ${search.skipped > 0 && html`<p class="warn">${search.skipped} could not be read and were left out.</p>`}
    ${count > 0 && html`<ul class="events">${search.found.map((sight) => html`<${Card} key=${sight.at} sight=${sight} onOpen=${setOpened} />`)}</ul>`}
    ${opened && html`<${Sight} sight=${opened} source=${search.source} onClose=${() => setOpened(null)} />`}
  </section>`;
}

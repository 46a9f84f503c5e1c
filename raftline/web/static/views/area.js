// Search for motion in a part of the picture: in the events, or in the recordings themselves.
import { duration } from "../format.js";
import { html, useEffect, useState } from "../html.js";
import { facts } from "../recordings.js";
import { Dialog } from "./dialog.js";
import { Polygons } from "./polygon.js";
import { Still } from "./still.js";

const MIDDLE = [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]];

// How much was recorded of a camera in a time; null until it is known.
function useFacts(source, [begin, end]) {
  const [known, setKnown] = useState(null);
  useEffect(() => {
    let gone = false;
    setKnown(null);
    facts(source, [begin, end]).then((found) => gone || setKnown(found), () => gone || setKnown({ clips: 0 }));
    return () => (gone = true);
  }, [source, begin, end]);
  return known;
}

export function Area({ sources, source, range, onEvents, onRecordings, onClose }) {
  const [of, setOf] = useState(source || sources[0] || "");
  const [corners, setCorners] = useState([]);
  const [drawing, setDrawing] = useState(true);
  const known = useFacts(of, range);
  const unready = corners.length < 3;
  return html`<${Dialog} title="Search in an area" onClose=${onClose}>
    <${Still} source=${of}><${Polygons} polygons=${[{ name: "the area", corners }]} chosen=${0} drawing=${drawing}
      onChoose=${() => {}} onCorners=${setCorners} onEnd=${() => setDrawing(false)} label="The area" /></${Still}>
    <div class="body">
      <p class="dim">Click its corners on the picture.</p>
      <div class="row">
        <label>Camera <select value=${of} onChange=${(event) => setOf(event.target.value)}>
          ${sources.map((name) => html`<option key=${name}>${name}</option>`)}</select></label>
        <button onClick=${() => (setCorners(MIDDLE), setDrawing(false))}>The middle</button>
        <button onClick=${() => (setCorners([]), setDrawing(true))}>Anew</button>
        <button class="push" disabled=${unready || !known?.clips} onClick=${() => onRecordings(of, corners)}>Search the recordings</button>
        <button class="main" disabled=${unready} onClick=${() => onEvents(of, corners)}>Search the events</button>
      </div>
      <p class="dim">${known === null ? "" : known.clips
        ? `Events are found at once. The recordings of this time (${duration(known.seconds)}) are looked through anew, which takes a while, and finds what made no event.`
        : "Nothing was recorded of this camera in this time (stage recorder)."}</p>
    </div>
  </${Dialog}>`;
}

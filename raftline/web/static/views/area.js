// Search for motion in a part of the picture, over what was seen so far.
import { html, useState } from "../html.js";
import { Dialog } from "./dialog.js";
import { Polygons } from "./polygon.js";
import { Still } from "./still.js";

const MIDDLE = [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]];

export function Area({ sources, source, onDone, onClose }) {
  const [of, setOf] = useState(source || sources[0] || "");
  const [corners, setCorners] = useState([]);
  const [drawing, setDrawing] = useState(true);
  const put = (next) => setCorners(next);
  return html`<${Dialog} title="Search in an area" onClose=${onClose}>
    <${Still} source=${of}><${Polygons} polygons=${[{ name: "the area", corners }]} chosen=${0} drawing=${drawing}
      onChoose=${() => {}} onCorners=${put} onEnd=${() => setDrawing(false)} label="The area" /></${Still}>
    <div class="body">
      <p class="dim">Click its corners on the picture.</p>
      <div class="row">
        <label>Camera <select value=${of} onChange=${(event) => setOf(event.target.value)}>
          ${sources.map((name) => html`<option key=${name}>${name}</option>`)}</select></label>
        <button onClick=${() => (setCorners(MIDDLE), setDrawing(false))}>The middle</button>
        <button onClick=${() => (setCorners([]), setDrawing(true))}>Anew</button>
        <button class="main push" disabled=${corners.length < 3} onClick=${() => onDone(of, corners)}>Search</button>
      </div>
    </div>
  </${Dialog}>`;
}

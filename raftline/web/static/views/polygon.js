// Polygons on a picture, by mouse, finger or keyboard. Corners are [x, y] in shares of the picture.
import { html, useRef } from "../html.js";

const STEP = 0.005; // of an arrow key; ten times that with Shift
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const inside = (value) => Math.min(1, Math.max(0, value));
const WIDTH = 1600;
const HEIGHT = 900;

export const points = (corners) => corners.map(([x, y]) => `${x * WIDTH},${y * HEIGHT}`).join(" ");

// Where motion will not count is dark: outside of what is watched, and within what is ignored.
export function Shade({ zones }) {
  const watched = zones.filter((zone) => zone.does === "watch" && zone.corners.length > 2);
  const ignored = zones.filter((zone) => zone.does === "ignore" && zone.corners.length > 2);
  if (!watched.length && !ignored.length) return null;
  return html`<mask id="shade"><rect width=${WIDTH} height=${HEIGHT} fill=${watched.length ? "white" : "black"} />
      ${watched.map((zone) => html`<polygon points=${points(zone.corners)} fill="black" />`)}
      ${ignored.map((zone) => html`<polygon points=${points(zone.corners)} fill="white" />`)}</mask>
    <rect class="shade" width=${WIDTH} height=${HEIGHT} mask="url(#shade)" />`;
}

function Corner({ corner, name, onMove, onRemove }) {
  const key = (event) => {
    if (event.key === "Delete" || event.key === "Backspace") return onRemove();
    const step = KEYS[event.key];
    if (!step) return undefined;
    event.preventDefault();
    const far = STEP * (event.shiftKey ? 10 : 1);
    return onMove([inside(corner[0] + step[0] * far), inside(corner[1] + step[1] * far)]);
  };
  return html`<circle class="corner" cx=${corner[0] * WIDTH} cy=${corner[1] * HEIGHT} r="14" tabindex="0" role="button"
    aria-label="${name}; move it with the arrow keys" onKeyDown=${key} />`;
}

// `polygons`: [{name, corners, does}], of which `chosen` can be changed; `drawing`: its corners are still being set.
export function Polygons({ polygons, chosen, drawing, onChoose, onCorners, onEnd, label, children }) {
  const svg = useRef(null);
  const held = useRef(null);
  const place = (event) => {
    const box = svg.current.getBoundingClientRect();
    return [inside((event.clientX - box.left) / box.width), inside((event.clientY - box.top) / box.height)];
  };
  const corners = polygons[chosen]?.corners || [];
  const down = (event) => {
    const at = place(event);
    const near = corners.findIndex(([x, y]) => Math.hypot((x - at[0]) * WIDTH, (y - at[1]) * HEIGHT) < 24);
    if (drawing && near === 0 && corners.length > 2) return onEnd();
    if (drawing && near < 0) return onCorners([...corners, at]);
    if (near >= 0) {
      held.current = { corner: near };
    } else if (event.target.dataset.polygon !== undefined) {
      const index = Number(event.target.dataset.polygon);
      onChoose(index);
      held.current = { from: at, corners: polygons[index].corners, index };
    }
    if (held.current) svg.current.setPointerCapture(event.pointerId);
    return undefined;
  };
  const move = (event) => {
    if (!held.current) return;
    const at = place(event);
    if (held.current.corner !== undefined) return onCorners(corners.with(held.current.corner, at));
    if (held.current.index !== chosen) return undefined;
    const xs = held.current.corners.map(([x]) => x);
    const ys = held.current.corners.map(([, y]) => y);
    const by = (from, to, all) => Math.max(-Math.min(...all), Math.min(1 - Math.max(...all), to - from));
    const [dx, dy] = [by(held.current.from[0], at[0], xs), by(held.current.from[1], at[1], ys)];
    return onCorners(held.current.corners.map(([x, y]) => [x + dx, y + dy]));
  };
  const up = () => (held.current = null);
  return html`<svg ref=${svg} class="polygons ${drawing ? "drawing" : ""}" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none"
      role="group" aria-label=${label} onPointerDown=${down} onPointerMove=${move} onPointerUp=${up} onPointerCancel=${up}
      onDblClick=${() => drawing && onEnd()}>
    ${children}
    ${polygons.map(
      (polygon, index) => html`<polygon key=${index} data-polygon=${index} points=${points(polygon.corners)}
        class="zone ${polygon.does || ""} ${index === chosen ? "chosen" : ""}" />`,
    )}
    ${corners.map(
      (corner, index) => html`<${Corner} key=${index} corner=${corner} name="Corner ${index + 1} of ${polygons[chosen].name || "the area"}"
        onMove=${(at) => onCorners(corners.with(index, at))}
        onRemove=${() => corners.length > 3 && onCorners(corners.toSpliced(index, 1))} />`,
    )}
  </svg>`;
}

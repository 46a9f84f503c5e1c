// Zones of a camera: drawn on its picture, named, and saved into the configuration.
import { get, path, send } from "../api.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { Polygons, Shade } from "./polygon.js";
import { Still } from "./still.js";

const USES = [["watch", "Watch: motion counts only here"], ["ignore", "Ignore: motion here does not count"], ["tell", "Tell: events say if they were here"]];
const WAYS = [["", "Any way"], [0, "Right →"], [45, "Right, down ↘"], [90, "Down ↓"], [135, "Left, down ↙"], [180, "Left ←"], [225, "Left, up ↖"], [270, "Up ↑"], [315, "Right, up ↗"]];
const MIDDLE = [[0.35, 0.35], [0.65, 0.35], [0.65, 0.65], [0.35, 0.65]];

const numberOr = (text, otherwise) => (text === "" ? otherwise : Number(text));

function ZoneForm({ zone, chosen, disabled, onChoose, onChange, onRemove }) {
  const set = (values) => onChange({ ...zone, ...values });
  const use = (does) =>
    set(does === "ignore" ? { does, slowest_px_s: 0, fastest_px_s: null, direction_degrees: null } : { does });
  const ways = WAYS.some(([way]) => way === zone.direction_degrees) || zone.direction_degrees === null
    ? WAYS : [...WAYS, [zone.direction_degrees, `${zone.direction_degrees}°`]];
  return html`<fieldset class="zone-form ${chosen ? "chosen" : ""}" onFocusIn=${onChoose} disabled=${disabled}>
    <legend class="hidden">Zone ${zone.name}</legend>
    <label>Name <input value=${zone.name} maxlength="60" required onInput=${(event) => set({ name: event.target.value })} /></label>
    <label>What it does <select value=${zone.does} onChange=${(event) => use(event.target.value)}>
      ${USES.map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}</select></label>
    ${zone.does !== "ignore" && html`<div class="row">
      <label>Moves <select value=${zone.direction_degrees ?? ""} onChange=${(event) => set({ direction_degrees: numberOr(event.target.value, null) })}>
        ${ways.map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}</select></label>
      <label>From px/s <input type="number" min="0" value=${zone.slowest_px_s || ""} placeholder="any"
        onInput=${(event) => set({ slowest_px_s: numberOr(event.target.value, 0) })} /></label>
      <label>To px/s <input type="number" min="1" value=${zone.fastest_px_s ?? ""} placeholder="any"
        onInput=${(event) => set({ fastest_px_s: numberOr(event.target.value, null) })} /></label></div>`}
    <button type="button" class="danger" onClick=${onRemove}>Remove</button>
  </fieldset>`;
}

const fresh = (name, corners) => ({
  name, corners, does: "watch", slowest_px_s: 0, fastest_px_s: null, direction_degrees: null, direction_within_degrees: 45,
});

function newName(zones) {
  for (let count = zones.length + 1; ; count += 1) {
    if (!zones.some((zone) => zone.name === `Zone ${count}`)) return `Zone ${count}`;
  }
}

function Editor({ source, mayChange }) {
  const [zones, setZones] = useState(null);
  const [saved, setSaved] = useState("");
  const [whyNot, setWhyNot] = useState("");
  const [chosen, setChosen] = useState(0);
  const [drawing, setDrawing] = useState(false);
  const [said, setSaid] = useState(["", false]);
  useEffect(() => {
    get(`${path("sources", source)}/zones`).then((found) => {
      setZones(found.zones);
      setSaved(JSON.stringify(found.zones));
      setWhyNot(found.why_not);
    }, (error) => (setZones([]), setWhyNot(error.message)));
  }, [source]);
  const now = useRef(null);
  now.current = { zones, chosen, drawing };
  useEffect(() => {
    const stop = (event) => {
      const { zones, chosen, drawing } = now.current;
      if (!drawing || !["Escape", "Enter"].includes(event.key)) return;
      event.preventDefault();
      if (event.key === "Enter" && zones[chosen].corners.length > 2) setDrawing(false);
      if (event.key === "Escape") (setZones(zones.toSpliced(chosen, 1)), setDrawing(false));
    };
    addEventListener("keydown", stop);
    return () => removeEventListener("keydown", stop);
  }, []);
  if (!zones) return html`<p class="note" role="status">Loading …</p>`;
  const change = (index, zone) => (setZones(zones.with(index, zone)), setSaid(["", false]));
  const add = (corners) => {
    setZones([...zones, fresh(newName(zones), corners)]);
    setChosen(zones.length);
    setDrawing(!corners.length);
    setSaid(["", false]);
  };
  const save = async () => {
    setSaid(["Checking …", false]);
    try {
      await send("PUT", `${path("sources", source)}/zones`, { zones });
      setSaved(JSON.stringify(zones));
      setSaid(["Saved", false]);
    } catch (error) {
      setSaid([error.message, true]);
    }
  };
  const fixed = !mayChange || Boolean(whyNot);
  const dirty = JSON.stringify(zones) !== saved;
  return html`<div class="editor">
    <div class="card">
      <${Still} source=${source}><${Polygons} polygons=${zones} chosen=${fixed ? -1 : chosen} drawing=${drawing} label="Zones of ${source}"
        onChoose=${setChosen} onEnd=${() => setDrawing(false)}
        onCorners=${(corners) => change(chosen, { ...zones[chosen], corners })}><${Shade} zones=${zones} /></${Polygons}></${Still}>
      <p class="hint dim" role="status">${drawing ? "Click the corners; Enter, a double click or the first corner ends it, Escape takes it back."
        : `${zones.some((zone) => zone.does !== "tell") ? "Dark: motion does not count there." : "Motion counts everywhere."}${zones.length && !fixed ? " Drag corners, or move them with the arrow keys." : ""}`}</p>
    </div>
    <form class="side" onSubmit=${(event) => (event.preventDefault(), save())}>
      ${whyNot && html`<p class="warn">Zones cannot be changed here: ${whyNot}.</p>`}
      ${!fixed && html`<div class="row"><button type="button" aria-pressed=${drawing} onClick=${() => add([])} disabled=${drawing}>Draw a zone</button>
        <button type="button" onClick=${() => add(MIDDLE)} disabled=${drawing}>Add a rectangle</button></div>`}
      ${zones.map((zone, index) => html`<${ZoneForm} key=${index} zone=${zone} chosen=${index === chosen} disabled=${fixed}
        onChoose=${() => drawing || setChosen(index)} onChange=${(next) => change(index, next)}
        onRemove=${() => (setZones(zones.toSpliced(index, 1)), setDrawing(false), setSaid(["", false]))} />`)}
      ${!fixed && html`<div class="row"><button class="main" disabled=${!dirty || drawing}>Save</button>
        <p role="status" class=${said[1] ? "trouble" : "dim"}>${said[0] || (dirty ? "Not saved yet" : "")}</p></div>`}
    </form>
  </div>`;
}

export function Zones({ run, rest, mayChange }) {
  const names = run.sources.map((source) => source.name);
  const source = names.includes(rest[0]) ? rest[0] : names[0];
  if (!source) return html`<p class="note">No camera is watched at the moment.</p>`;
  const go = (event) => (location.hash = `#/zones/${encodeURIComponent(event.target.value)}`);
  return html`<div class="row"><h1>Zones of</h1>
      <select aria-label="Camera" value=${source} onChange=${go}>${names.map((name) => html`<option key=${name}>${name}</option>`)}</select></div>
    <${Editor} key=${source} source=${source} mayChange=${mayChange} />`;
}

// Which events: by camera, zone, day, size, speed and label.
import { html } from "../html.js";

const SIZES = [["", "Any size"], ["0.005", "From 0.5 %"], ["0.02", "From 2 %"], ["0.1", "From 10 %"], ["0.3", "From 30 %"]];
const LABELS = [["", "All"], ["unlabelled", "Without a label"], ["event", "Events"], ["no event", "No events"]];
const DAY = 86400;
const SPANS = [[3600, "Last hour", 60], [DAY, "Last 24 hours", 144], [7 * DAY, "Last 7 days", 168], [30 * DAY, "Last 30 days", 120], [365 * DAY, "Last year", 365]];
export const SPAN = String(DAY);
const FILE_TIMES = 1e8; // s since 1970: what begins earlier is a place in a file

// [begin, end, parts of the timeline, whether it is a file's]: the day that was asked for, else the last time with events.
export function range(filters, facts) {
  if (facts.last !== null && facts.last < FILE_TIMES) return [0, Math.max(10, facts.last * 1.02 + 1), 144, true];
  if (filters.day) {
    const begin = new Date(`${filters.day}T00:00:00`).getTime() / 1000;
    return [begin, begin + DAY, 144, false];
  }
  const [span, , parts] = SPANS.find(([seconds]) => String(seconds) === filters.span);
  const step = span / parts;
  const upTo = (seconds) => Math.ceil((seconds + 1) / step) * step;
  const now = upTo(Date.now() / 1000);
  const end = facts.last !== null && facts.last < now - span ? upTo(facts.last) : now;
  return [end - span, end, parts, false];
}

// [begin, end] of the same time for recordings, which go on after the last event.
export function recorded(filters, facts) {
  const [begin, end, , files] = range(filters, facts);
  return filters.day || files ? [begin, end] : [begin, Math.max(end, 60 * Math.ceil(Date.now() / 60000))];
}

function Choice({ label, name, values, filters, setFilters }) {
  const change = (event) =>
    setFilters({ ...filters, [name]: event.target.value, ...(name === "span" ? { day: "" } : {}) });
  return html`<label>${label}
    <select value=${filters[name]} onChange=${change}>
      ${values.map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}
    </select></label>`;
}

const named = (all, names) => [["", all], ...names.map((name) => [name, name])];

export function Filters({ filters, facts, setFilters, onDraw, sources }) {
  const set = (name) => (event) => setFilters({ ...filters, [name]: event.target.value });
  const given = { filters, setFilters };
  return html`<form class="filters" aria-label="Filters" onSubmit=${(event) => event.preventDefault()}>
    <${Choice} label="Camera" name="source" values=${named("All cameras", sources)} ...${given} />
    <${Choice} label="Zone" name="zone" values=${named("Anywhere", facts?.zones || [])} ...${given} />
    <${Choice} label="Time" name="span" values=${SPANS.map(([seconds, text]) => [String(seconds), text])} ...${given} />
    <label>Day <input type="date" value=${filters.day} onChange=${set("day")} /></label>
    <${Choice} label="Size" name="size" values=${SIZES} ...${given} />
    <label>Speed <input type="number" min="0" step="10" placeholder="px/s" value=${filters.speed} onChange=${set("speed")} /></label>
    <${Choice} label="Label" name="label" values=${LABELS} ...${given} />
    ${filters.area
      ? html`<button type="button" aria-pressed="true" onClick=${() => setFilters({ ...filters, area: null })}>Anywhere again</button>`
      : html`<button type="button" onClick=${onDraw}>Search in an area</button>`}
  </form>`;
}

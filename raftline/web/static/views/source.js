// What every view says of a source in the same words.
import { clock, duration, since } from "../format.js";
import { html } from "../html.js";

const LEDS = { live: "good", running: "good", starting: "wait", trying: "bad", failed: "bad", finished: "off", stopped: "off" };

export function State({ source }) {
  const long = since(source.since);
  return html`<span class="state"><i class="led ${LEDS[source.state]}"></i>${source.state}${long && ` for ${long}`}</span>`;
}

export function Why({ source }) {
  if (!source.why) return null;
  const again = source.next_try ? `. Next try at ${clock(source.next_try)}` : source.state === "trying" ? ". Trying now" : "";
  return html`<p class="trouble">${source.why}${again}</p>`;
}

const LATELY = 0.5; // share of the camera's frames that are looked at, below which that is said

// The picture may be live while what is found in it is not: the machine is too slow for all of its frames.
export function Trouble({ source }) {
  if (!source.live || source.state !== "live" || !source.fps) return null;
  const slow = source.stages.find((stage) => stage.fps !== null && stage.fps < LATELY * source.fps);
  if (!slow) return null;
  return html`<p class="warn">Too much for this machine: ${slow.name} looks at ${slow.fps.toFixed(1)} of ${source.fps.toFixed(1)} frames/s, and drops the others.</p>`;
}

export function Progress({ source }) {
  if (!source.frames_expected || source.state !== "running") return null;
  const done = Math.min(...source.stages.map((stage) => stage.frames));
  const left = source.seconds_left === null ? "" : `, ${duration(source.seconds_left)} left`;
  return html`<label class="progress">
    <progress max=${source.frames_expected} value=${done}></progress>
    ${Math.floor((100 * done) / source.frames_expected)} %${left}</label>`;
}

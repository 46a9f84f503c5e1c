// The fleet: its hosts, all cameras wherever they are, and the last events of all.
import { get } from "../api.js";
import { clock, number, since } from "../format.js";
import { html, useEffect, useState } from "../html.js";

const EVERY_MS = 2000;
const LEDS = {
  live: "good", running: "good", full: "wait", starting: "wait", leaving: "wait", waiting: "bad",
  trying: "bad", refused: "bad", failed: "bad", lost: "bad",
  "put aside": "bad",
};

function useFleet() {
  const [fleet, setFleet] = useState(null);
  const [trouble, setTrouble] = useState("");
  useEffect(() => {
    let timer = null;
    const ask = () =>
      get("/fleet")
        .then((told) => (setFleet(told), setTrouble(told.trouble)), (error) => setTrouble(error.message))
        .finally(() => (timer = setTimeout(ask, EVERY_MS)));
    ask();
    return () => clearTimeout(timer);
  }, []);
  return [fleet, trouble];
}

const Led = ({ state }) => html`<i class="led ${LEDS[state] || "off"}"></i>${state}`;

const named = (name, page) => (page ? html`<a href=${page} rel="noopener">${name}</a>` : name);

function Table({ title, columns, children }) {
  return html`<section class="card" aria-label=${title}>
    <div class="caption"><h2>${title}</h2></div>
    <div class="scroll" tabindex="0" role="region" aria-label="Table of ${title}"><table class="words">
      <thead><tr>${columns.map((each) => html`<th scope="col">${each}</th>`)}</tr></thead>
      <tbody>${children}</tbody>
    </table></div>
  </section>`;
}

const Host = (host) => html`<tr key=${host.name}>
  <th scope="row">${named(host.name, host.page)}</th>
  <td><${Led} state=${host.state} /></td>
  <td>${number(host.cameras)}</td>
  <td title=${host.capacity_why}>${host.capacity === null ? "any" : number(host.capacity)}</td>
  <td>${host.cpu_cores === null ? "–" : `${number(host.cpu_cores, 1)} of ${number(host.cores)}`}</td>
  <td>${number(host.silent_seconds)} s ago</td>
</tr>`;

const Camera = (camera) => html`<tr key=${camera.name}>
  <th scope="row">${camera.name}</th>
  <td>${camera.host ? named(camera.host, camera.page) : "–"}</td>
  <td><${Led} state=${camera.state} /></td>
  <td>${since(camera.since) || "–"}</td>
  <td>${camera.why}</td>
</tr>`;

const Event = (event) => html`<tr key=${`${event.uid}.${event.state}`}>
  <th scope="row">${event.camera}</th>
  <td>${event.host}</td>
  <td>${event.state}</td>
  <td>${clock(event.told)}</td>
  <td>${event.zones.join(", ")}</td>
</tr>`;

export function Hosts() {
  const [fleet, trouble] = useFleet();
  const said = trouble && html`<p class="trouble" role="alert">${trouble}</p>`;
  if (!fleet) return html`<h1 class="hidden">Hosts</h1>${said || html`<p class="note" role="status">Asking …</p>`}`;
  const live = fleet.cameras.filter((camera) => camera.state === "live" || camera.state === "running").length;
  return html`<h1 class="hidden">Hosts</h1>
    ${said}
    <p class="note" role="status">${live} of ${fleet.cameras.length} cameras of ${fleet.name} are live</p>
    <${Table} title="Hosts" columns=${["Host", "State", "Cameras", "Capacity", "CPU cores", "Last word"]}>
      ${fleet.hosts.map(Host)}<//>
    <${Table} title="Cameras" columns=${["Camera", "Host", "State", "For", "Why"]}>${fleet.cameras.map(Camera)}<//>
    <${Table} title="Events" columns=${["Camera", "Host", "What", "Told at", "Zones"]}>${fleet.events.map(Event)}<//>`;
}

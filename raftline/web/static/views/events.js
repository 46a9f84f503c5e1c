// What moved, when: a timeline, and each event with its image, clip and label.
import { get, query } from "../api.js";
import { day, number, share } from "../format.js";
import { html, useEffect, useRef, useState } from "../html.js";
import { begin } from "../recordings.js";
import { Area } from "./area.js";
import { EventDialog } from "./event_dialog.js";
import { Arrow, lasts, thumbnail, when } from "./event_words.js";
import { Filters, SPAN, range, recorded } from "./filters.js";
import { Recordings } from "./recordings.js";
import { Timeline } from "./timeline.js";

const REFRESH = 5000; // ms
const NONE = { source: "", zone: "", span: SPAN, day: "", size: "", speed: "", label: "", area: null };

const asked = (filters, [begin, end]) =>
  query({
    source: filters.source,
    zone: filters.zone,
    least_area: filters.size,
    least_speed: filters.speed,
    label: filters.label === "unlabelled" ? "" : filters.label,
    labelled: filters.label === "unlabelled" ? "false" : "",
    area: filters.area ? JSON.stringify(filters.area) : "",
    begin,
    end,
  });

function Card({ event, onOpen }) {
  const [gone, setGone] = useState(false); // an image that was deleted to make room
  return html`<li><button class="event" data-at=${event.at} onClick=${() => onOpen(event)}>
    <span class="picture">${
      event.has_thumbnail && !gone ? html`<img src=${thumbnail(event)} alt="" loading="lazy" onError=${() => setGone(true)} />` : html`<span class="note">No image</span>`
    }
      ${event.has_clip && html`<span class="tag">clip</span>`}
      ${event.label && html`<span class="tag label">${event.label}</span>`}</span>
    <span class="words">
      <b>${when(event)}</b> <span>${event.source}</span>
      <span class="dim">${lasts(event)}, ${share(event.peak_area)}${event.speed_px_s !== null && `, ${number(event.speed_px_s)} px/s `}
        <${Arrow} degrees=${event.direction_degrees} /></span>
      ${event.zones.map((zone) => html`<span class="chip" key=${zone}>${zone}</span>`)}
    </span></button></li>`;
}

function byDay(events) {
  const days = new Map();
  for (const event of events) {
    const name = event.live ? day(event.at * 1000) : event.source;
    days.set(name, [...(days.get(name) || []), event]);
  }
  return [...days];
}

export function Events({ run, rest, mayChange }) {
  const [filters, setFilters] = useState({ ...NONE, source: rest[0] || "" });
  const [facts, setFacts] = useState(null);
  const [found, setFound] = useState(null);
  const [bars, setBars] = useState(null);
  const [opened, setOpened] = useState(null);
  const [drawing, setDrawing] = useState(false);
  const [trouble, setTrouble] = useState("");
  const newest = useRef(0); // answers that come late are dropped

  const load = async () => {
    const turn = ++newest.current;
    try {
      const known = await get("/events/facts");
      const window = range(filters, known);
      const wanted = asked(filters, window);
      const [page, timeline] = await Promise.all([
        get(`/events?${wanted}`),
        get(`/events/bars?${wanted}&parts=${window[2]}`),
      ]);
      if (turn !== newest.current) return;
      setFacts(known);
      setFound(page);
      setBars({ ...timeline, end: window[1], files: window[3] });
      setTrouble("");
    } catch (error) {
      if (turn === newest.current) setTrouble(error.message);
    }
  };
  useEffect(() => {
    load();
    const again = setInterval(() => document.hidden || opened || found?.more || load(), REFRESH);
    return () => clearInterval(again);
  }, [filters, opened, found?.more]);

  const more = async () => {
    const page = await get(`/events?${asked(filters, range(filters, facts))}&after=${encodeURIComponent(found.next)}`);
    setFound({ events: [...found.events, ...page.events], next: page.next, more: true });
  };
  const changed = (event) => {
    setOpened(event && opened ? event : null);
    load();
  };
  const sources = [...new Set([...run.sources.map((source) => source.name), ...(facts?.sources || [])])];
  return html`<h1 class="hidden">Events</h1>
    <${Filters} ...${{ filters, facts, setFilters, onDraw: () => setDrawing(true), sources }} />
    <${Recordings} />
    ${trouble && html`<p class="trouble" role="alert">${trouble}</p>`}
    ${bars && html`<${Timeline} bars=${bars} onPick=${(at) => pick(at)} />`}
    ${found && !found.events.length && html`<p class="note" role="status">Nothing moved here in this time.</p>`}
    ${found &&
    byDay(found.events).map(
      ([name, events]) => html`<section key=${name} aria-label=${name}><h2>${name}</h2>
        <ul class="events">${events.map((event) => html`<${Card} key=${event.number} event=${event} onOpen=${setOpened} />`)}</ul></section>`,
    )}
    ${found?.next && html`<button onClick=${more}>Earlier ones</button>`}
    ${opened && html`<${EventDialog} ...${{ event: opened, mayChange, onClose: () => setOpened(null), onChange: changed }} />`}
    ${drawing && facts &&
    html`<${Area} sources=${sources} source=${filters.source} range=${recorded(filters, facts)} onClose=${() => setDrawing(false)}
      onRecordings=${(source, area) => (setDrawing(false), begin(source, area, recorded(filters, facts)))}
      onEvents=${(source, area) => (setDrawing(false), setFilters({ ...filters, source, area }))} />`}`;
}

function pick(at) {
  const cards = [...document.querySelectorAll(".event")];
  cards.find((card) => Number(card.dataset.at) <= at)?.scrollIntoView({ behavior: "smooth", block: "center" });
}

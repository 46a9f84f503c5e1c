// The live picture of a source: its video by Media Source Extensions, and what moves drawn over it, on the frame that
// is shown. docs/web.md describes the messages.

import { draw, drawCompared } from "./live_drawing.js";
import { Player } from "./live_player.js";

const KINDS = ["mask", "boxes", "flow", "colors", "camera"];
const DRAWN_ON = ["camera", "frames"]; // views
const COMPARE = "compare:"; // before the stage whose pictures are shown beside those before
const NOTHING = new Set();
const NAMES = { mask: "Mask", boxes: "Boxes", flow: "Flow arrows", colors: "Flow colors", camera: "Camera's motion" };
const KEPT = 300; // overlays that may be ahead of the frame that is shown
const CLOSE_ENOUGH = 3; // ms: times of the video are rounded, and frames are further apart
const FIRST_OVERLAY = 500; // ms that the first picture waits for what is drawn on it
const LAST_PAUSE = 8000; // ms, between two attempts to connect

/**
 * Show a source inside an element.
 *
 * @param {HTMLElement} element
 * @param {{source: string, base?: string, view?: string, overlays?: string[], controls?: boolean,
 *   delay?: number, onTold?: function}} options `delay`: s that the picture stays behind, at least; `onTold` is given
 *   what is told of each frame
 * @returns a function that removes it, with `show(kind, on)`, `watch(view)`, `current()` (time of the frame that is shown,
 *   ms), its `overlay()`, `stats` and `video`.
 */
export function mountLive(element, options) {
  const live = new Live(element, options);
  return Object.assign(() => live.close(), {
    show: (kind, on) => live.show(kind, on),
    watch: (view) => live.watch(view),
    current: () => live.current,
    overlay: () => (live.current === null ? null : live.overlay(live.current)),
    stats: live.stats,
    video: live.video,
  });
}

class Live {
  constructor(element, { source, base = "/api/live", view = "camera", overlays = ["mask", "boxes"], controls = true, delay = 0, onTold }) {
    Object.assign(this, { element, source, base, view, shown: new Set(overlays), delay, onTold, closed: false, failures: 0 });
    this.stats = { frames: 0, found: 0, missing: [], times: [] };
    this.overlays = new Map();
    this.current = null;
    this.build(controls);
    this.onVisibility = () => this.pauseOrResume();
    document.addEventListener("visibilitychange", this.onVisibility);
    this.connect();
  }

  build(controls) {
    style();
    this.element.classList.add("live");
    this.video = make("video", "live-video");
    Object.assign(this.video, { muted: true, playsInline: true, disablePictureInPicture: true });
    this.video.setAttribute("aria-label", `Live picture of ${this.source}`);
    this.canvas = make("canvas", "live-canvas");
    this.note = make("p", "live-note");
    this.note.setAttribute("role", "status");
    this.bar = make("div", "live-bar");
    this.split = make("input", "live-split");
    Object.assign(this.split, { type: "range", min: 0, max: 1, step: 0.01, value: 0.5, hidden: true });
    this.split.setAttribute("aria-label", "Where before ends and after begins");
    this.split.oninput = () => this.paint();
    this.element.append(this.video, this.canvas, this.note, this.split, this.bar);
    if (controls) {
      KINDS.forEach((kind) => this.bar.append(this.button(kind)));
      this.offerViews();
    }
    this.nextFrame();
  }

  button(kind) {
    const button = make("button", "live-toggle");
    button.type = "button";
    button.textContent = NAMES[kind];
    button.dataset.kind = kind;
    button.setAttribute("aria-pressed", String(this.shown.has(kind)));
    button.onclick = () => this.show(kind, !this.shown.has(kind));
    return button;
  }

  // Where a stage writes pictures, such as stabilized ones, they can be watched instead.
  async offerViews() {
    const answer = await fetch(`${this.base}/${encodeURIComponent(this.source)}`).catch(() => null);
    const { views = [] } = answer?.ok ? await answer.json() : {};
    const stages = views.filter((view) => !DRAWN_ON.includes(view));
    if (this.closed || !stages.length) return;
    const select = make("select", "live-toggle");
    select.setAttribute("aria-label", "Picture");
    for (const view of ["camera", ...stages]) select.append(new Option(called(view), view));
    select.value = this.view;
    select.onchange = () => this.watch(select.value);
    this.bar.append(select);
  }

  show(kind, on) {
    this.shown[on ? "add" : "delete"](kind);
    this.bar.querySelector(`[data-kind=${kind}]`)?.setAttribute("aria-pressed", String(on));
    this.ask({ overlays: [...this.shown] });
    this.paint();
  }

  watch(view) {
    this.view = view;
    this.failures = 0;
    this.split.hidden = !this.compares;
    for (const button of this.bar.querySelectorAll("button")) button.disabled = !DRAWN_ON.includes(view);
    this.socket?.close();
  }

  // What is drawn belongs to the camera's picture; stages have moved theirs.
  get drawn() {
    return DRAWN_ON.includes(this.view) ? this.shown : NOTHING;
  }

  get compares() {
    return this.view.startsWith(COMPARE);
  }

  connect() {
    if (this.closed) return;
    const asked = new URLSearchParams({ view: this.view, overlays: [...this.drawn] });
    const where = `${this.base}/${encodeURIComponent(this.source)}/video?${asked}`;
    const socket = (this.socket = new WebSocket(new URL(where, location.href.replace(/^http/, "ws"))));
    socket.binaryType = "arraybuffer";
    this.player = new Player(this.video, this.drawn.size ? FIRST_OVERLAY : 0, this.delay);
    this.overlays.clear();
    socket.onopen = () => this.pauseOrResume();
    socket.onmessage = ({ data }) => (typeof data === "string" ? this.told(JSON.parse(data)) : this.received(data));
    socket.onclose = ({ reason }) => this.lost(socket, reason);
  }

  lost(socket, reason) {
    this.player.close();
    if (this.closed || socket !== this.socket) return;
    if (reason || this.failures) this.note.textContent = reason || "No connection to the server";
    this.retry = setTimeout(() => this.connect(), Math.min(LAST_PAUSE, this.failures && 250 * 2 ** this.failures));
    this.failures++;
  }

  received(data) {
    const view = new DataView(data);
    if (view.getUint32(4) === 0x6d6f6f66) {
      this.player.add(data, view); // "moof": a fragment
      return;
    }
    const length = view.getUint32(0);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
    if (!Player.plays(head.mime)) return this.instead();
    this.failures = 0;
    this.note.textContent = "";
    this.player.begin(head.mime, data.slice(4 + length));
  }

  // What the browser does not play, the server encodes.
  instead() {
    if (this.view === "frames") this.note.textContent = "This browser plays no H.264";
    else this.watch("frames");
  }

  told(message) {
    if (message.type === "unplayable") return this.instead();
    if (message.type !== "overlay") return;
    this.player.go();
    this.onTold?.(message);
    if (!message.old) this.player.drawn(message.t);
    const key = Math.round(message.t * 1000);
    this.overlays.set(key, { ...this.overlays.get(key), ...message });
    while (this.overlays.size > KEPT) this.overlays.delete(this.overlays.keys().next().value);
    if (this.current !== null && Math.abs(key - this.current) <= CLOSE_ENOUGH) this.paint();
  }

  overlay(key) {
    for (let off = 0; off <= CLOSE_ENOUGH; off++) {
      const found = this.overlays.get(key - off) ?? this.overlays.get(key + off);
      if (found) return found;
    }
    return null;
  }

  nextFrame() {
    this.video.requestVideoFrameCallback((now, frame) => {
      if (this.closed) return;
      this.count();
      this.current = Math.round(frame.mediaTime * 1000);
      this.stats.times.push([this.current, performance.timeOrigin + frame.expectedDisplayTime]);
      if (this.stats.times.length > KEPT) this.stats.times.shift();
      this.paint();
      this.nextFrame();
    });
  }

  // Of the frame that goes: an overlay may come while it is shown.
  count() {
    if (this.current === null || !this.drawn.size) return;
    this.stats.frames++;
    if (this.overlay(this.current)) this.stats.found++;
    else this.stats.missing = [...this.stats.missing.slice(-KEPT), this.current];
  }

  paint() {
    if (this.compares) return drawCompared(this.canvas, this.video, Number(this.split.value));
    const overlay = this.current === null ? null : this.overlay(this.current);
    if (overlay) this.stats.last = { key: this.current, arrival: overlay.arrival_ms };
    draw(this.canvas, overlay, this.drawn);
  }

  ask(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // Nobody looks at a hidden tab: the server sends it nothing.
  pauseOrResume() {
    if (document.hidden) this.ask({ paused: true });
    else if (this.paused) this.ask({ paused: false });
    this.paused = document.hidden;
  }

  close() {
    this.closed = true;
    clearTimeout(this.retry);
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.socket.close();
    this.player.close();
    this.element.classList.remove("live");
    for (const each of [this.video, this.canvas, this.note, this.split, this.bar]) each.remove();
  }
}

const called = (view) =>
  (view.startsWith(COMPARE) ? `before and after: ${view.slice(COMPARE.length)}` : view).replaceAll("_", " ");

function make(tag, name) {
  const element = document.createElement(tag);
  element.className = name;
  return element;
}

function style() {
  const href = new URL("./live.css", import.meta.url).href;
  if ([...document.styleSheets].some((sheet) => sheet.href === href) || document.querySelector("link[data-live]")) return;
  const link = document.createElement("link");
  Object.assign(link, { rel: "stylesheet", href });
  link.dataset.live = "";
  document.head.append(link);
}

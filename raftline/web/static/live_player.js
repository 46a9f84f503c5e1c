// Plays fragments as they come, close to the newest.

const AHEAD = 3; // frames that wait to be shown: fewer would stop the picture whenever one is late
const LEAST_AHEAD = 0.15; // s
const TOO_FAR = 1.5; // s behind the newest frame: jump there
const MOST_DELAY = 2; // s that the picture waits for what is drawn on it
const LAGS = 100; // frames
const OFTEN = 0.95; // share of them that is waited for
const SPARE = 0.05; // s
const KEPT = 10; // s before the frame that is shown
const STEPS = 30;

export class Player {
  // `wait`: ms from the first picture until it plays, unless `go` comes first.
  constructor(video, wait = 0, delay = 0) {
    this.video = video;
    this.delay = delay;
    this.lags = [];
    this.wait = wait;
    this.waiting = [];
    this.steps = [];
    this.last = null;
  }

  static plays(mime) {
    return "MediaSource" in window && MediaSource.isTypeSupported(mime);
  }

  // A video begins, or begins anew: `boxes` describe it.
  begin(mime, boxes) {
    if (this.mime === mime && this.source) {
      this.waiting.push(boxes);
      this.append();
      return;
    }
    this.close();
    const source = (this.source = new MediaSource());
    this.mime = mime;
    this.waiting = [boxes];
    this.url = URL.createObjectURL(source);
    this.video.src = this.url;
    source.onsourceopen = () => {
      if (source !== this.source) return;
      this.buffer = source.addSourceBuffer(mime);
      this.buffer.onupdateend = () => this.updated();
      this.append();
    };
  }

  add(fragment, view) {
    const time = Number(view.getBigUint64(60)) / 90000; // of decoding, in the box tfdt
    if (this.last !== null && time > this.last) this.steps = [...this.steps.slice(1 - STEPS), time - this.last];
    this.last = time;
    this.waiting.push(fragment);
    this.append();
  }

  append() {
    if (!this.buffer || this.buffer.updating || !this.waiting.length || this.source.readyState !== "open") return;
    const parts = this.waiting.splice(0);
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(new Uint8Array(part), at);
      at += part.byteLength;
    }
    try {
      this.buffer.appendBuffer(whole);
    } catch (error) {
      if (error.name === "QuotaExceededError") this.forget(0.5);
    }
  }

  updated() {
    this.keepUp();
    if (this.waiting.length) this.append();
    else this.forget(KEPT);
  }

  // What is drawn on the frame of this time has come.
  drawn(time) {
    if (this.last !== null) this.lags = [...this.lags.slice(1 - LAGS), this.last - time];
  }

  // How far the picture must stay behind for what is drawn on it to come first, nearly always.
  lag() {
    const sorted = [...this.lags].sort((a, b) => a - b);
    const seconds = sorted[Math.floor(sorted.length * OFTEN)] ?? 0;
    return seconds > 0 ? Math.min(MOST_DELAY, seconds + SPARE) : 0;
  }

  go() {
    if (this.wait === 0) return;
    this.wait = 0;
    this.keepUp();
  }

  keepUp() {
    const { video } = this;
    const ranges = video.buffered;
    if (!ranges.length) return;
    if (this.wait) {
      this.timer ??= setTimeout(() => this.go(), this.wait);
      return;
    }
    const start = ranges.start(ranges.length - 1);
    const end = ranges.end(ranges.length - 1);
    const step = this.steps.length ? this.steps.reduce((a, b) => a + b) / this.steps.length : 0.05;
    const wanted = Math.max(LEAST_AHEAD, AHEAD * step, this.delay, this.lag());
    const behind = end - video.currentTime;
    if (video.currentTime < start || behind > TOO_FAR + wanted) video.currentTime = Math.max(start, end - wanted);
    video.playbackRate = behind > wanted + 0.25 ? 1.25 : behind > wanted + step ? 1.05 : behind < wanted / 2 ? 0.8 : 1;
    if (video.paused) video.play().catch(() => {});
  }

  forget(seconds) {
    const { buffer, video } = this;
    if (buffer.updating || !video.buffered.length) return;
    const until = video.currentTime - seconds;
    if (until - video.buffered.start(0) > seconds / 2) buffer.remove(0, until);
  }

  close() {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.buffer) this.buffer.onupdateend = null;
    if (this.url) {
      URL.revokeObjectURL(this.url);
      this.video.removeAttribute("src");
      this.video.load();
    }
    Object.assign(this, { source: null, buffer: null, url: null, mime: null, waiting: [], last: null });
  }
}

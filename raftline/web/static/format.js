// Numbers and times, as people read them.

export const number = (value, digits = 0) =>
  value === null || value === undefined ? "–" : value.toLocaleString(undefined, { maximumFractionDigits: digits });

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} days`;
}

const clockForm = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
export const clock = (date) => new Date(date).toLocaleTimeString(undefined, clockForm);

export const day = (date) =>
  new Date(date).toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short" });

export function since(text) {
  if (!text) return "";
  const seconds = (Date.now() - new Date(text).getTime()) / 1000;
  return Number.isFinite(seconds) && seconds >= 0 ? duration(seconds) : "";
}

// A time within a file: 1:02:03.4
export function position(seconds) {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 60) % 60, whole % 60].map((part) => String(part).padStart(2, "0"));
  const hours = Math.floor(whole / 3600);
  return `${hours ? `${hours}:` : ""}${parts.join(":")}.${Math.floor((seconds - whole) * 10)}`;
}

export const share = (value) => (value === null ? "–" : `${number(100 * value, value < 0.0995 ? 1 : 0)} %`);

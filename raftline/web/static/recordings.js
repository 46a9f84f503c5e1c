// A search through recordings: it goes on while one looks at something else, until it is done or cancelled.
import { get, path, query } from "./api.js";
import { useEffect, useState } from "./html.js";

let search = null; // {source, area, state: "running" | "done" | "cancelled" | "failed", progress, found, skipped, trouble}
let abort = null;
const watchers = new Set();

function change(values) {
  search = values && { ...search, ...values };
  for (const watcher of watchers) watcher(search);
}

export function useSearch() {
  const [shown, setShown] = useState(search);
  useEffect(() => (watchers.add(setShown), () => watchers.delete(setShown)), []);
  return shown;
}

export const forget = () => (cancel(), change(null));

export function cancel() {
  abort?.abort();
  abort = null;
  if (search?.state === "running") change({ state: "cancelled" });
}

export async function begin(source, area, [from, until]) {
  cancel();
  search = null;
  const mine = (abort = new AbortController());
  change({ source, area, state: "running", progress: null, found: [], skipped: 0, trouble: "" });
  const address = `/api${path("sources", source, "recordings")}/motion?${query({ area: JSON.stringify(area), begin: from, end: until })}`;
  try {
    const response = await fetch(address, { signal: mine.signal });
    if (!response.ok) throw new Error((await response.json().catch(() => ({}))).detail || `The server answered ${response.status}.`);
    for await (const line of lines(response.body)) if (abort === mine) take(JSON.parse(line));
    if (search.state === "running") throw new Error("The server ended the search.");
  } catch (error) {
    if (abort === mine) change({ state: "failed", trouble: error.message });
  }
}

function take(said) {
  if (said.type === "progress") change({ progress: said });
  else if (said.type === "found") change({ found: [...search.found, said] });
  else if (said.type === "skipped") change({ skipped: search.skipped + 1 });
  else change({ state: said.type, trouble: said.type === "failed" ? "The search broke off; the log of the page says why." : "" });
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    yield* parts.filter(Boolean);
  }
}

export const facts = (source, [begin, end]) => get(`${path("sources", source, "recordings")}?${query({ begin, end })}`);
export const clip = (source, name) => `/api${path("sources", source, "recordings", name)}`;

// The page: who looks, which view is open, and the state of the run that all views share.
import { get, send, watchState } from "./api.js";
import { html, render, useEffect, useState } from "./html.js";
import { Cameras } from "./views/cameras.js";
import { Events } from "./views/events.js";
import { Hosts } from "./views/hosts.js";
import { LogIn } from "./views/login.js";
import { Live } from "./views/live.js";
import { Zones } from "./views/zones.js";

const VIEWS = [
  ["live", "Live", Live],
  ["events", "Events", Events],
  ["zones", "Zones", Zones],
  ["cameras", "Cameras", Cameras],
  ["hosts", "Hosts", Hosts], // of a fleet alone
];

const place = () => {
  const [view, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  return { view: VIEWS.some(([name]) => name === view) ? view : "live", rest };
};

function usePlace() {
  const [here, setHere] = useState(place());
  useEffect(() => {
    const moved = () => setHere(place());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return here;
}

function useRun(session) {
  const [run, setRun] = useState(null);
  const [lost, setLost] = useState(false);
  useEffect(() => {
    if (!session?.logged_in) return undefined;
    return watchState((state) => (setRun(state), setLost(false)), () => setLost(true));
  }, [session?.logged_in]);
  return [run, lost];
}

const LEDS = { running: "good", silent: "bad", ended: "off", none: "off" };
const WORDS = { running: "running", silent: "not responding", ended: "ended", none: "not running" };

function Header({ run, lost, here, session, logOut }) {
  return html`<header>
    <a class="brand" href="#/live"><img src="/static/icon.svg" alt="" width="24" height="24" />raftline</a>
    <nav aria-label="Views">
      ${VIEWS.filter(([name]) => name !== "hosts" || session.fleet).map(
        ([name, title]) =>
          html`<a href="#/${name}" aria-current=${here.view === name ? "page" : null}>${title}</a>`,
      )}
    </nav>
    <p class="run" role="status">
      ${lost
        ? html`<i class="led bad"></i>The server does not answer`
        : run && html`<i class="led ${LEDS[run.state]}"></i><b>${run.name}</b> ${WORDS[run.state]}`}
    </p>
    ${session.asks_for !== "nothing" && html`<button class="quiet" onClick=${logOut}>Log out</button>`}
  </header>`;
}

function App() {
  const [session, setSession] = useState(null);
  const [run, lost] = useRun(session);
  const here = usePlace();
  const ask = () => get("/session").then(setSession, () => setTimeout(ask, 2000));
  useEffect(() => {
    ask();
    addEventListener("logged-out", ask);
    return () => removeEventListener("logged-out", ask);
  }, []);
  useEffect(() => {
    document.title = `${VIEWS.find(([name]) => name === here.view)[1]}${run?.name ? ` – ${run.name}` : ""} – raftline`;
  }, [here.view, run?.name]);
  if (!session) return html`<p class="note" role="status">Connecting …</p>`;
  if (!session.logged_in) return html`<${LogIn} asksFor=${session.asks_for} onDone=${setSession} />`;
  const View = VIEWS.find(([name]) => name === here.view)[2];
  const logOut = () => send("DELETE", "/session").then(ask, ask);
  return html`<a class="skip" href="#main" onClick=${skip}>To the content</a>
    <${Header} ...${{ run, lost, here, session, logOut }} />
    <main id="main" tabindex="-1">
      ${run ? html`<${View} run=${run} rest=${here.rest} mayChange=${session.may_change} />`
            : html`<p class="note" role="status">Waiting for the first word of the run …</p>`}
    </main>`;
}

function skip(event) {
  event.preventDefault(); // the address says which view is open
  document.getElementById("main").focus();
}

render(html`<${App} />`, document.getElementById("page"));

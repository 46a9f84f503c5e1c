// The API, as the page uses it. Every failure is an Error whose message is for people.

class Failure extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function answer(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new Failure("The server does not answer.", 0);
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const detail = Array.isArray(body.detail) ? body.detail.map((each) => each.msg).join("; ") : body.detail;
  if (response.status === 401 && !request.login) window.dispatchEvent(new Event("logged-out"));
  throw new Failure(detail || `The server answered ${response.status}.`, response.status);
}

export const get = (path) => answer(fetch(`/api${path}`));

export function send(method, path, body) {
  const headers = { "X-Raftline": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  return answer(fetch(`/api${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) }));
}

// Calls `onState` with each state; `onLost` while the server does not answer. Returns what ends it.
export function watchState(onState, onLost) {
  const stream = new EventSource("/api/state/stream");
  stream.addEventListener("state", (event) => onState(JSON.parse(event.data)));
  stream.onerror = onLost;
  return () => stream.close();
}

export const query = (values) =>
  Object.entries(values)
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join("&");

export const path = (...parts) => parts.map((part) => `/${encodeURIComponent(part)}`).join("");

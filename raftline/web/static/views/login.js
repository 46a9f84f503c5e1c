// The first thing that somebody sees who is not logged in.
import { send } from "../api.js";
import { html, useState } from "../html.js";

export function LogIn({ asksFor, onDone }) {
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  const byToken = asksFor === "token";
  const submit = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    setBusy(true);
    try {
      onDone(await send("POST", "/session", { name: form.get("name") || "", password: form.get("password") }));
    } catch (error) {
      setTrouble(error.message);
      event.target.password.select();
    }
    setBusy(false);
  };
  return html`<main class="login">
    <form onSubmit=${submit} aria-labelledby="login-title">
      <img src="/static/icon.svg" alt="" width="48" height="48" />
      <h1 id="login-title">raftline</h1>
      ${!byToken && html`<label>Name <input name="name" autocomplete="username" required autofocus /></label>`}
      <label>${byToken ? "Token" : "Password"}
        <input name="password" type="password" autocomplete="current-password" required /></label>
      ${trouble && html`<p class="trouble" role="alert">${trouble[0].toUpperCase() + trouble.slice(1)}.</p>`}
      <button class="main" disabled=${busy}>Log in</button>
    </form>
  </main>`;
}

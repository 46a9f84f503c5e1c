// A window over the page: the browser keeps the keyboard in it, and Escape closes it.
import { html, useEffect, useRef } from "../html.js";

export function Dialog({ title, onClose, children }) {
  const element = useRef(null);
  useEffect(() => {
    const dialog = element.current;
    dialog.showModal();
    return () => dialog.close();
  }, []);
  const outside = (event) => event.target === element.current && onClose();
  return html`<dialog ref=${element} aria-label=${title} onCancel=${(event) => (event.preventDefault(), onClose())} onClick=${outside}>
    <div class="inside">
      <div class="caption"><h2>${title}</h2><button class="quiet" onClick=${onClose} aria-label="Close">✕</button></div>
      ${children}
    </div></dialog>`;
}

// The API's description for people, made of /api/openapi.json: nothing is fetched from elsewhere.
import { html, render } from "./html.js";

const named = (schema) => schema?.$ref?.split("/").pop();

function typeOf(schema) {
  if (!schema) return "";
  if (schema.$ref) return html`<a href="#${named(schema)}">${named(schema)}</a>`;
  if (schema.anyOf) return schema.anyOf.map((each, at) => [at ? " or " : "", typeOf(each)]);
  if (schema.type === "array") return ["list of ", typeOf(schema.items)];
  if (schema.enum) return schema.enum.join(" | ");
  return schema.const ?? schema.type ?? "any";
}

function Endpoint({ path, method, said }) {
  const body = said.requestBody?.content?.["application/json"]?.schema;
  const result = said.responses?.["200"]?.content?.["application/json"]?.schema;
  return html`<section class="card"><div class="caption">
      <h2><code>${method.toUpperCase()} ${path}</code></h2>
      <p>${said.description || said.summary}</p></div>
    <div class="scroll" tabindex="0"><table><tbody>
      ${(said.parameters || []).map(
        (each) => html`<tr><th scope="row"><code>${each.name}</code></th><td>${typeOf(each.schema)}</td><td>${each.description}</td></tr>`,
      )}
      ${body && html`<tr><th scope="row">body</th><td>${typeOf(body)}</td><td></td></tr>`}
      ${result && html`<tr><th scope="row">answer</th><td>${typeOf(result)}</td><td></td></tr>`}
    </tbody></table></div></section>`;
}

function Model({ name, model }) {
  return html`<section class="card" id=${name}><div class="caption"><h2>${name}</h2><p>${model.description}</p></div>
    <div class="scroll" tabindex="0"><table><tbody>${Object.entries(model.properties || {}).map(
      ([key, each]) => html`<tr><th scope="row"><code>${key}</code></th><td>${typeOf(each)}</td><td>${each.description}</td></tr>`,
    )}</tbody></table></div></section>`;
}

function Api({ api }) {
  return html`<h1>The API of raftline</h1>
    <p>For programs: <a href="/api/openapi.json">openapi.json</a>. A request that writes carries the header
      <code> X-Raftline: 1</code>; one with a token carries <code>Authorization: Bearer TOKEN</code>.</p>
    ${Object.entries(api.paths).map(([path, methods]) =>
      Object.entries(methods).map(([method, said]) => html`<${Endpoint} ...${{ path, method, said }} />`),
    )}
    <h1>What it speaks of</h1>
    ${Object.entries(api.components?.schemas || {}).map(([name, model]) => html`<${Model} ...${{ name, model }} />`)}`;
}

const response = await fetch("/api/openapi.json");
const page = document.getElementById("page");
if (response.ok) render(html`<${Api} api=${await response.json()} />`, page);
else render(html`<p class="note"><a href="/">Log in</a> first, then come back.</p>`, page);

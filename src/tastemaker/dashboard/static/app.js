// The shell: sign-in, navigation, theme, and the page that the address names.
import { hasKey, identity, onLost, setKey, whoAmI } from "./lib/api.js";
import { useStream } from "./lib/data.js";
import { ago } from "./lib/format.js";
import { html, render, useEffect, useErrorBoundary, useRef, useState } from "./lib/html.js";
import { href, useRoute } from "./lib/route.js";
import { GROUPS, PAGES } from "./pages/index.js";
import { Badge, Button, Field, Icon, Input, Loading, Problem, Toasts } from "./ui/index.js";

const THEME = "tastemaker-theme";

function applyTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  dispatchEvent(new Event("themechange"));
}

function useTheme() {
  const [theme, setTheme] = useState(localStorage.getItem(THEME) ?? "system");
  useEffect(() => {
    applyTheme(theme);
    if (theme === "system") localStorage.removeItem(THEME);
    else localStorage.setItem(THEME, theme);
  }, [theme]);
  return [theme, setTheme];
}

function ThemeButton() {
  const [theme, setTheme] = useTheme();
  const next = { system: "light", light: "dark", dark: "system" }[theme];
  return html`<${Button} kind="quiet" small onClick=${() => setTheme(next)} label=${`Colours: ${theme}. Change to ${next}.`}>
    <${Icon} name=${theme === "dark" ? "moon" : theme === "light" ? "sun" : "contrast"} />${theme}
  <//>`;
}

function SignIn({ onDone }) {
  const [secret, setSecret] = useState("");
  const [error, setError] = useState(null);
  const enter = async (event) => {
    event.preventDefault();
    setKey(secret.trim());
    try {
      await whoAmI();
      onDone();
    } catch (problem) {
      setKey(null);
      setError(problem.status === 401 || problem.status === 403 ? "This key is not known here, or may not look at the dashboard." : problem.message);
    }
  };
  return html`<main class="empty">
    <h1>Tastemaker</h1>
    <p>This service is closed. A key with the scope <code>dashboard</code> looks at everything; other scopes change things.</p>
    <form class="stack" onSubmit=${enter} style=${{ width: "min(420px, 100%)" }}>
      <${Field} label="Key" error=${error} hint="Kept for this tab, until it is closed.">
        <${Input} type="password" value=${secret} onInput=${setSecret} autocomplete="off" spellcheck=${false} required autofocus />
      <//>
      <button class="button primary">Enter</button>
    </form>
    <pre>tastemaker keys create --scopes dashboard --store STORE</pre>
  </main>`;
}

function Side({ page, open, onClose, onSignOut, inUse, hears }) {
  const who = identity();
  return html`<aside class=${`side${open ? " open" : ""}`} id="side">
    <a class="brand" href="#/overview" onClick=${onClose}><${Logo} />Tastemaker</a>
    <nav aria-label="Pages">
      ${GROUPS.map(
        ({ title, pages }) => html`${title && html`<h2>${title}</h2>`}
          <ul>
            ${pages
              .filter((id) => PAGES[id])
              .map(
                (id) => html`<li key=${id}>
                  <a href=${href(id)} aria-current=${id === page ? "page" : undefined} onClick=${onClose}>
                    <${Icon} name=${PAGES[id].icon} />${PAGES[id].title}
                  </a>
                </li>`,
              )}
          </ul>`,
      )}
    </nav>
    <footer>
      <div class="wrap">
        ${inUse?.name
          ? html`<${Badge} tone=${inUse.ready ? "good" : "warn"}>${inUse.ready ? "ready" : "starting"}<//> ${inUse.name} ${inUse.version || ""}
              <div class="quiet">made ${ago(inUse.created)}</div>`
          : html`<${Badge} tone="warn">no model<//>`}
        ${!hears && html`<div class="quiet">not connected</div>`}
      </div>
      <div class="row tight apart">
        <${ThemeButton} />
        ${who.key_id && html`<${Button} kind="quiet" small onClick=${onSignOut}>sign out<//>`}
      </div>
    </footer>
  </aside>`;
}

export const Logo = () =>
  html`<svg viewBox="0 0 32 32" aria-hidden="true">
    <rect width="32" height="32" rx="8" fill="#0f766e" />
    <path d="M9 10h14M16 10v13" stroke="#fff" stroke-width="3.2" stroke-linecap="round" />
    <circle cx="23" cy="21" r="2.6" fill="#fbbf24" />
  </svg>`;

function Shown({ page, params }) {
  const [error, reset] = useErrorBoundary();
  const [module, setModule] = useState(null);
  const entry = PAGES[page];
  useEffect(() => {
    let here = true;
    setModule(null);
    reset();
    entry?.load().then(
      (found) => here && setModule(found),
      (failed) => here && setModule({ failed }),
    );
    document.title = `${entry?.title ?? "Not found"} – Tastemaker`;
    return () => (here = false);
  }, [page]);
  if (!entry) return html`<${Problem} error=${{ title: "There is no such page", detail: page }} />`;
  if (error) return html`<${Problem} error=${{ title: "This page failed", detail: error.message }} retry=${reset} />`;
  if (module?.failed) return html`<${Problem} error=${{ title: "This page could not be loaded", detail: module.failed.message }} />`;
  if (!module) return html`<${Loading} rows=${6} />`;
  return html`<${module.default} params=${params} />`;
}

function App() {
  const [state, setState] = useState("asking");
  const [open, setOpen] = useState(false);
  const [inUse, setInUse] = useState(null);
  const { page, params } = useRoute();
  const main = useRef(null);
  const [failed, setFailed] = useState(null);
  const enter = () =>
    whoAmI().then(
      () => setState("in"),
      (error) => {
        if (error.status === 401) setState("out");
        else {
          setFailed(error);
          setState("failed");
        }
      },
    );
  useEffect(() => {
    onLost(() => setState("out"));
    enter();
  }, []);
  const [, again] = useState(0);
  useEffect(() => {
    const follow = () => again((count) => count + 1);
    addEventListener("identity", follow);
    return () => removeEventListener("identity", follow);
  }, []);
  useEffect(() => setOpen(false), [page]);
  const hears = useStream(state === "in" ? "/v1/live" : null, { topics: ["model"] }, (_, data) => setInUse(data));
  if (state === "asking") return html`<main class="main"><${Loading} rows=${6} /></main>`;
  if (state === "failed") return html`<main class="main"><${Problem} error=${failed} retry=${enter} /></main>`;
  if (state === "out") return html`<${SignIn} onDone=${() => setState("in")} />`;
  const signOut = () => {
    setKey(null);
    setState("out");
  };
  const toMain = (event) => {
    event.preventDefault();
    main.current.focus();
  };
  return html`<a class="skip" href="#main" onClick=${toMain}>Skip to the page</a>
    <div class="shell">
      <div class="bar">
        <${Button} kind="quiet" onClick=${() => setOpen(true)} label="Menu" expanded=${open} controls="side"><${Icon} name="menu" /><//>
        <strong>${PAGES[page]?.title ?? "Tastemaker"}</strong>
        <span class="visually-hidden">Tastemaker</span><${Logo26} />
      </div>
      ${open && html`<button class="veil" aria-label="Close the menu" onClick=${() => setOpen(false)}></button>`}
      <${Side} page=${page} open=${open} onClose=${() => setOpen(false)} onSignOut=${signOut} inUse=${inUse} hears=${hears} />
      <main class="main" id="main" tabindex="-1" ref=${main}><${Shown} key=${page} page=${page} params=${params} /></main>
    </div>
    <${Toasts} />`;
}

const Logo26 = () => html`<span class="brand"><${Logo} /></span>`;

applyTheme(localStorage.getItem(THEME) ?? "system");
render(html`<${App} />`, document.getElementById("app"));

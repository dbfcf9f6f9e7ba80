// All pages: what each is called, its picture, and how it is loaded. The order is that of the navigation.
export const PAGES = {
  overview: { title: "Overview", icon: "pulse", load: () => import("./overview.js") },
  shopfront: { title: "Shopfront", icon: "shop", load: () => import("./shopfront.js") },
  inspector: { title: "Inspector", icon: "person", load: () => import("./inspector.js") },
  catalogue: { title: "Catalogue", icon: "tag", load: () => import("./catalogue.js") },
  data: { title: "Data", icon: "stack", load: () => import("./data.js") },
  models: { title: "Models", icon: "cube", load: () => import("./models.js") },
  evaluation: { title: "Evaluation", icon: "chart", load: () => import("./evaluation.js") },
  scenarios: { title: "Scenarios", icon: "sliders", load: () => import("./scenarios.js") },
  jobs: { title: "Jobs", icon: "clock", load: () => import("./jobs.js") },
  keys: { title: "Keys", icon: "key", load: () => import("./keys.js") },
  audit: { title: "Audit", icon: "list", load: () => import("./audit.js") },
  system: { title: "System", icon: "gear", load: () => import("./system.js") },
};

export const GROUPS = [
  { title: "Look", pages: ["overview", "shopfront", "inspector", "catalogue"] },
  { title: "Build", pages: ["data", "models", "evaluation", "scenarios"] },
  { title: "Operate", pages: ["jobs", "keys", "audit", "system"] },
];

// How trainings went: loss and validation metric by epoch, of one or of several versions over each other.
import { get } from "../../lib/api.js";
import { number } from "../../lib/format.js";
import { html, useEffect, useMemo, useState } from "../../lib/html.js";
import { Card, Chart, Empty } from "../../ui/index.js";

/** The course of one training: loss within and at the end of epochs, and the validation metric. */
function One({ curve }) {
  const { x, loss, metric } = useMemo(() => merged([["", curve]]), [curve]);
  const validated = metric[0].values.some(Number.isFinite);
  return html`<div class="grid" style=${{ "--least": "320px" }}>
    <figure><figcaption class="small quiet">Loss by epoch</figcaption><${Chart} x=${x} xLabel="epoch" free series=${[{ ...loss[0], label: "loss" }]} caption="Loss by epoch" height=${180} /></figure>
    ${validated && html`<figure><figcaption class="small quiet">${curve.metric} on validation, by epoch</figcaption><${Chart} x=${x} xLabel="epoch" series=${[{ ...metric[0], label: curve.metric, color: "var(--c3)" }]} caption=${`${curve.metric} by epoch`} height=${180} /></figure>`}
  </div>`;
}

/** The validation metric of several versions over each other. */
export function Curves({ models }) {
  const [curves, setCurves] = useState(null);
  const wanted = models.slice(0, 8);
  const key = wanted.map((one) => `${one.name}/${one.version}`).join();
  useEffect(() => {
    let here = true;
    const ask = (one) => get(`/v1/models/${one.name}/versions/${one.version}`).then((found) => [`${one.name} ${one.version}`, found.curve], () => null);
    Promise.all(wanted.map(ask)).then((found) => here && setCurves(found.filter((one) => one && one[1].epochs.some((row) => row.metric !== null))));
    return () => (here = false);
  }, [key]);
  const lines = useMemo(() => (curves?.length ? merged(curves) : null), [curves]);
  if (!curves || curves.length < 2) return null;
  return html`<${Card} title="Trainings compared" note="The validation metric by epoch, of the newest versions whose training was kept.">
    ${lines ? html`<${Chart} x=${lines.x} xLabel="epoch" series=${lines.metric} caption="Validation metric by epoch" format=${number} />` : html`<${Empty} title="No training was kept" />`}
  <//>`;
}

Curves.One = One;

/** Rows of several courses on one axis of epochs, holes where one has no row. */
function merged(curves) {
  const x = [...new Set(curves.flatMap(([, { epochs, steps }]) => [...epochs, ...steps].map(({ epoch }) => epoch)))].sort((a, b) => a - b);
  const line = (rows, field) => {
    const at = new Map(rows.map((row) => [row.epoch, row[field]]));
    return x.map((epoch) => at.get(epoch) ?? null);
  };
  return {
    x,
    loss: curves.map(([label, { epochs, steps }]) => ({ label, values: line([...steps, ...epochs], "loss"), gaps: true })),
    metric: curves.map(([label, { epochs }]) => ({ label, values: line(epochs, "metric"), gaps: true })),
  };
}

// VM exits by their true reason, as the host's kernel counts them while somebody looks (docs/exit-less.md).
// exit.vcpu.N.REASON is every exit for that reason; exit.vcpu.N.msr_write.MSR is a part of msr_write (Intel) or of msr (AMD, which has one reason for both).

import { ratesOf } from "./rates.js";

const reasonKey = /^exit\.vcpu\.\d+\.(.+)$/;
const msrReasons = ["msr", "msr_read", "msr_write"];
export const lessFrequent = "less frequent";
export const otherMsrs = "other MSRs";
/** Layers that are shown one by one; what is rarer is one layer together. */
export const shownReasons = 9;

/** Whether the graph of reasons needs this series. */
export function isReasonSeries(key) {
  return reasonKey.test(key);
}

/**
 * Exits per second of a VM by reason, summed over its vCPUs, the most frequent first. MSR accesses are told by MSR where they are known.
 * layers: [{ name, rates }], empty while nothing is counted.
 */
export function reasonRates(ring) {
  const times = ring.times();
  const byName = new Map();
  const known = new Uint8Array(times.length);
  for (const key of ring.keys) {
    const match = reasonKey.exec(key);
    if (match === null) continue;
    if (!byName.has(match[1])) byName.set(match[1], new Float64Array(times.length));
    const sum = byName.get(match[1]);
    const rates = ratesOf(times, ring.column(key));
    for (let i = 0; i < rates.length; i++)
      if (!Number.isNaN(rates[i])) { sum[i] += rates[i]; known[i] = 1; }
  }
  // A reason that has not come yet has no series: where anything was counted, it came 0 times.
  for (const sum of byName.values())
    for (let i = 0; i < sum.length; i++) if (known[i] === 0) sum[i] = NaN;
  return { times, layers: gather(named(byName, times.length)) };
}

function named(byName, length) {
  const layers = [];
  const rest = new Float64Array(length);
  let anyMsr = false;
  for (const [name, rates] of byName) {
    const [reason, msr] = name.split(".");
    const sign = msr !== undefined ? -1 : msrReasons.includes(reason) ? 1 : 0;
    if (sign !== 0) { anyMsr = true; for (let i = 0; i < length; i++) rest[i] += sign * rates[i]; }
    if (sign <= 0) layers.push({ name: msr === undefined ? spoken(reason) : `${spoken(reason)}: ${spoken(msr)}`, rates });
  }
  // The two histograms are not read at one instant.
  if (anyMsr) layers.push({ name: otherMsrs, rates: rest.map(value => Number.isNaN(value) ? NaN : Math.max(0, value)) });
  return layers;
}

function gather(layers) {
  const weight = layer => layer.rates.reduce((sum, rate) => Number.isNaN(rate) ? sum : sum + rate, 0);
  const sorted = layers.map(layer => ({ layer, weight: weight(layer) })).filter(one => one.weight > 0)
    .sort((a, b) => b.weight - a.weight || a.layer.name.localeCompare(b.layer.name)).map(one => one.layer);
  if (sorted.length <= shownReasons + 1) return sorted;
  const rare = sorted.slice(shownReasons);
  const sum = new Float64Array(rare[0].rates.length);
  for (const layer of rare) for (let i = 0; i < sum.length; i++) sum[i] += layer.rates[i];
  return [...sorted.slice(0, shownReasons), { name: lessFrequent, rates: sum }];
}

function spoken(name) {
  return name.replaceAll("_", " ");
}

/** Keeps each reason's colour for as long as the page is open, however the order changes. */
export class ReasonColors {
  #known = new Map();

  of(name) {
    if (name === lessFrequent) return "--exit-other";
    if (!this.#known.has(name)) this.#known.set(name, `--vector-${this.#known.size % 8}`);
    return this.#known.get(name);
  }
}

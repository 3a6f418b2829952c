// Interrupts of assigned devices: the host's count for each MSI-X vector that VFIO has armed.

import { ratesOf, sumOfKnown } from "./rates.js";

const vectorKey = /^vfio\.([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\.msix\.(\d+)$/;

/** The device and vector of a series key, or null. */
export function vectorOf(key) {
  const match = vectorKey.exec(key);
  return match === null ? null : { address: match[1], vector: Number(match[2]) };
}

/** Interrupts per second by vector, ordered by device and vector, and their sum. */
export function interruptRates(ring) {
  const times = ring.times();
  const lines = ring.keys
    .map(key => ({ key, at: vectorOf(key) }))
    .filter(series => series.at !== null)
    .sort((a, b) => a.at.address.localeCompare(b.at.address) || a.at.vector - b.at.vector)
    .map(series => ({ name: `${series.at.address} · msix ${series.at.vector}`, key: series.key, rates: ratesOf(times, ring.column(series.key)) }));
  return { times, lines, total: sumOfKnown(lines.map(line => line.rates), times.length) };
}

// Which of KVM's vCPU statistics (x86) are kinds of exit, so that they may be stacked up to `exits`.
//
// A kind is counted once, in the handler of one hardware exit reason. signal_exits and request_irq_exits are not kinds:
// they count returns to user space, after an exit that already has its kind. exits without a statistic of their own
// (MSR, CPUID, APIC access, PAUSE, preemption timer, EPT misconfiguration served in the kernel) are `exits` minus the kinds: "other".
// docs/dashboard.md has the table.

import { ratesOf, sumOf } from "./rates.js";

export const exitKinds = [
  "irq_exits", "halt_exits", "io_exits", "mmio_exits", "pf_taken", "hypercalls",
  "irq_window_exits", "nmi_window_exits", "notify_window_exits",
];
export const otherKind = "other";

const vcpuKey = /^kvm\.vcpu\.(\d+)\.(.+)$/;

/** The statistic and vCPU of a series key, or null. */
export function vcpuStatistic(key) {
  const match = vcpuKey.exec(key);
  return match === null ? null : { vcpu: Number(match[1]), statistic: match[2] };
}

/** Whether the exit graph needs this series. */
export function isExitSeries(key) {
  const named = vcpuStatistic(key);
  return named !== null && (named.statistic === "exits" || exitKinds.includes(named.statistic));
}

/**
 * Exits per second of a VM by kind, summed over its vCPUs.
 * total: the statistic `exits`. layers: the kinds this kernel has, then "other". excess: by how much the kinds exceed the total
 * (an exit counted under two kinds, or samples taken in between); other is 0 there and nothing is scaled.
 */
export function exitRates(ring) {
  const times = ring.times();
  const length = times.length;
  const byStatistic = new Map();
  for (const key of ring.keys) {
    const named = vcpuStatistic(key);
    if (named === null || !isExitSeries(key)) continue;
    if (!byStatistic.has(named.statistic)) byStatistic.set(named.statistic, []);
    byStatistic.get(named.statistic).push(ratesOf(times, ring.column(key)));
  }
  const total = sumOf(byStatistic.get("exits") ?? [], length);
  const layers = exitKinds
    .filter(kind => byStatistic.has(kind))
    .map(kind => ({ name: kind, rates: sumOf(byStatistic.get(kind), length) }));
  const named = sumOf(layers.map(layer => layer.rates), length);
  const other = new Float64Array(length);
  const excess = new Float64Array(length);
  for (let i = 0; i < length; i++) {
    const rest = layers.length === 0 ? total[i] : total[i] - named[i];
    other[i] = Number.isNaN(rest) ? NaN : Math.max(0, rest);
    excess[i] = Number.isNaN(rest) ? NaN : Math.max(0, -rest);
  }
  layers.push({ name: otherKind, rates: other });
  return { times, total, layers, excess };
}

// CPU time of the VM's process, as a share of one CPU: what ran in guest mode, and what its host side cost.

import { ratesOf } from "./rates.js";

export const guestKey = "process.cpu_guest_ns";
export const hostKey = "process.cpu_host_ns";
export const residentKey = "process.rss_bytes";

const nanosecondsASecond = 1e9;

/** Per cent of one CPU, in guest mode and on the host; NaN where not known. */
export function cpuShares(ring) {
  const times = ring.times();
  const share = key => {
    const column = ring.column(key);
    return column === null
      ? new Float64Array(times.length).fill(NaN)
      : ratesOf(times, column).map(rate => rate / nanosecondsASecond * 100);
  };
  return { times, guest: share(guestKey), host: share(hostKey) };
}

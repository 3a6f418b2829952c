// Samples of two hosts are not taken at one instant. To draw them over each other, each is put to its nearest whole second.

/** The value at each whole second of the window; NaN where no sample is within half a second. times: ascending, in ms. */
export function alignToSeconds(times, values, window) {
  const seconds = alignToSeconds.times(window);
  const out = new Float64Array(seconds.length).fill(NaN);
  if (seconds.length === 0) return out;
  const first = seconds[0];
  for (let i = 0; i < times.length; i++) {
    const slot = Math.round((times[i] - first) / 1000);
    if (slot >= 0 && slot < out.length) out[slot] = values[i];
  }
  return out;
}

/** The whole seconds of a window. */
alignToSeconds.times = window => {
  const first = Math.ceil(window[0] / 1000);
  const last = Math.floor(window[1] / 1000);
  return Float64Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * 1000);
};

/** One by the other, second by second; NaN where there is nothing to divide by. */
export function quotients(dividends, divisors) {
  return dividends.map((value, i) => divisors[i] > 0 ? value / divisors[i] : NaN);
}

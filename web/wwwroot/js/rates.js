// Rates of cumulative counters. NaN means "not known", and is drawn as a gap: never as zero and never as a spike.

/** Two samples further apart than this have a gap between them: at 1 s, three or more samples are missing. */
export const longestStepMs = 3500;

/** Per-second rate of a counter that has grown so much in so many ms. NaN across a gap, where time stood still, and where the counter fell (a reset) or is not known. */
export function rateOf(step, grown) {
  return step > 0 && step <= longestStepMs && grown >= 0 ? grown / step * 1000 : NaN;
}

/** Per-second rate at each sample, from the one before it; NaN at the first. */
export function ratesOf(times, values) {
  const rates = new Float64Array(times.length).fill(NaN);
  for (let i = 1; i < times.length; i++) rates[i] = rateOf(times[i] - times[i - 1], values[i] - values[i - 1]);
  return rates;
}

/** Sum of rates at each sample; NaN where any of them is: a sum over some of the vCPUs would be a wrong number. */
export function sumOf(columns, length) {
  const sum = new Float64Array(length);
  for (const column of columns)
    for (let i = 0; i < length; i++) sum[i] += column[i];
  return columns.length === 0 ? sum.fill(NaN) : sum;
}

/** Sum of what is known at each sample, NaN where nothing is: for series that come and go, such as MSI-X vectors. */
export function sumOfKnown(columns, length) {
  const sum = new Float64Array(length).fill(NaN);
  for (const column of columns)
    for (let i = 0; i < length; i++)
      if (!Number.isNaN(column[i])) sum[i] = Number.isNaN(sum[i]) ? column[i] : sum[i] + column[i];
  return sum;
}

/** Mean of the known values among the last `count`, or NaN. */
export function recentMean(values, count) {
  let sum = 0;
  let known = 0;
  for (let i = Math.max(0, values.length - count); i < values.length; i++)
    if (!Number.isNaN(values[i])) { sum += values[i]; known++; }
  return known === 0 ? NaN : sum / known;
}

// uPlot draws lines; stacking them is ours. Layers come bottom first, and the result has one running sum a layer.

/** Running sums with null where a layer is not known at that sample (uPlot's gap). */
export function stack(layers, length) {
  const sums = [];
  const below = new Float64Array(length);
  for (const layer of layers) {
    const top = new Array(length);
    for (let i = 0; i < length; i++) {
      below[i] += layer[i];
      top[i] = Number.isNaN(below[i]) ? null : below[i];
    }
    sums.push(top);
  }
  return sums;
}

/** A plain array with null for NaN, as uPlot wants its gaps. */
export function withGaps(values) {
  const out = new Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = Number.isNaN(values[i]) ? null : values[i];
  return out;
}

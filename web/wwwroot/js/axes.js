// Where the axes end and where their marks stand.

const steps = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

/** The end of an axis that holds max with a little air, and does not twitch with every sample. */
export function roundUp(max) {
  if (!(max > 0)) return 1;
  const wanted = max * 1.05;
  const power = 10 ** Math.floor(Math.log10(wanted));
  return steps.find(step => step * power >= wanted) * power;
}

const marksEvery = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600].map(seconds => seconds * 1000);
const markWidth = 84;
const halfLabel = 28;

/** Round times for the axis: as many as fit the width, on whole steps of the viewer's clock; none so near the right end that its label would be cut. */
export function timeMarks([from, to], width) {
  const most = Math.max(1, Math.floor(width / markWidth));
  const step = marksEvery.find(every => (to - from) / every <= most) ?? marksEvery.at(-1);
  const marks = [];
  const last = to - (to - from) * halfLabel / width;
  for (let at = Math.ceil(from / step) * step; at <= last; at += step) marks.push(at);
  return marks;
}

import assert from "node:assert/strict";
import test from "node:test";
import { roundUp, timeMarks } from "../wwwroot/js/axes.js";
import { bytes, compact, percent } from "../wwwroot/js/format.js";
import { stack, withGaps } from "../wwwroot/js/stacking.js";
import { agoWords } from "../wwwroot/js/time.js";

test("layers are stacked bottom first", () => {
  assert.deepEqual(stack([[1, 2], [10, 20], [100, 200]], 2), [[1, 2], [11, 22], [111, 222]]);
});

test("what is not known in one layer is a gap there and above, not below", () => {
  assert.deepEqual(stack([[1, 1], [NaN, 2], [3, 3]], 2), [[1, 1], [null, 3], [null, 6]]);
  assert.deepEqual(withGaps([1, NaN, 3]), [1, null, 3]);
});

test("stacking does not change its layers", () => {
  const layers = [Float64Array.of(1, 2), Float64Array.of(3, 4)];
  stack(layers, 2);
  assert.deepEqual(layers.map(layer => [...layer]), [[1, 2], [3, 4]]);
});

test("an axis ends on a round number above its highest value", () => {
  assert.equal(roundUp(0), 1);
  assert.equal(roundUp(NaN), 1);
  assert.equal(roundUp(97), 150);
  assert.equal(roundUp(1016), 1500);
  for (const max of [0.013, 1, 9.9, 123, 4567, 8e8]) assert.ok(roundUp(max) >= max * 1.05 - 1e-9 && roundUp(max) <= max * 1.7, `${max} -> ${roundUp(max)}`);
});

test("time marks stand on whole steps and fit the width", () => {
  const from = Date.UTC(2026, 0, 1, 10, 2, 30);
  const marks = timeMarks([from, from + 900_000], 700);
  assert.ok(marks.length <= 9 && marks.length >= 5);
  assert.ok(marks.every(at => at % 120_000 === 0));
  assert.ok(marks.at(-1) <= from + 900_000 * (1 - 28 / 700), "the last label has room");
  assert.ok(timeMarks([from, from + 60_000], 700).every(at => at % 10_000 === 0));
});

test("numbers keep three figures that matter", () => {
  assert.deepEqual([0, 0.254, 12.34, 456.7, 1016, 12345, 1234567, NaN].map(compact), ["0", "0.25", "12.3", "457", "1\u202f016", "12.3 k", "1.23 M", "–"]);
  assert.equal(percent(83.28), "83.3 %");
  assert.deepEqual([0, 512, 1536, 560 * 2 ** 20].map(bytes), ["0 B", "512 B", "1.50 KiB", "560 MiB"]);
});

test("ages are told in words", () => {
  assert.deepEqual([500, 12_000, 300_000, 7_200_000, 3 * 86_400_000, -60_000].map(agoWords), ["just now", "12 s ago", "5 min ago", "2 h ago", "3 d ago", "in 60 s"]);
});

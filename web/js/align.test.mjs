import assert from "node:assert/strict";
import test from "node:test";
import { alignToSeconds, quotients } from "../wwwroot/js/align.js";

test("samples go to their nearest second, and a missing one is a gap", () => {
  const values = alignToSeconds([10_480, 11_510, 13_020], Float64Array.of(1, 2, 3), [10_000, 13_000]);
  assert.deepEqual([...values], [1, NaN, 2, 3]);
  assert.deepEqual([...alignToSeconds.times([10_000, 13_000])], [10_000, 11_000, 12_000, 13_000]);
});

test("what lies outside of the window is left out", () => {
  assert.deepEqual([...alignToSeconds([1000, 99_000], [7, 8], [10_000, 11_000])], [NaN, NaN]);
});

test("nothing is divided by nothing", () => {
  assert.deepEqual([...quotients(Float64Array.of(4, 4, NaN), Float64Array.of(2, 0, 2))], [2, NaN, NaN]);
});

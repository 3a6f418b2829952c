import assert from "node:assert/strict";
import test from "node:test";
import { longestStepMs, ratesOf, recentMean, sumOf, sumOfKnown } from "../wwwroot/js/rates.js";

test("a rate is the growth a second, whatever the step", () => {
  assert.deepEqual([...ratesOf([0, 1000, 1500, 3500], [0, 100, 200, 200])], [NaN, 100, 200, 0]);
});

test("a counter that fell was reset: a gap, not a spike", () => {
  assert.deepEqual([...ratesOf([0, 1000, 2000, 3000], [5000, 5100, 40, 90])], [NaN, 100, NaN, 50]);
});

test("missing samples are a gap, not an average over it", () => {
  const after = 1000 + longestStepMs + 1;
  assert.deepEqual([...ratesOf([0, 1000, after, after + 1000], [0, 10, 1e6, 1e6 + 10])], [NaN, 10, NaN, 10]);
});

test("a series that was not there has no rate until it has two samples", () => {
  assert.deepEqual([...ratesOf([0, 1000, 2000], [NaN, 5, 8])], [NaN, NaN, 3]);
});

test("two samples of one time have no rate", () => {
  assert.deepEqual([...ratesOf([1000, 1000], [1, 2])], [NaN, NaN]);
});

test("a sum is unknown where one of its parts is", () => {
  assert.deepEqual([...sumOf([[1, 2, NaN], [10, NaN, 30]], 3)], [11, NaN, NaN]);
  assert.deepEqual([...sumOf([], 2)], [NaN, NaN]);
});

test("a sum of what is known ignores what is not", () => {
  assert.deepEqual([...sumOfKnown([[1, 2, NaN], [10, NaN, NaN]], 3)], [11, 2, NaN]);
});

test("a recent mean looks at the last samples only", () => {
  assert.equal(recentMean([100, 2, NaN, 4], 3), 3);
  assert.equal(recentMean([NaN], 3), NaN);
});

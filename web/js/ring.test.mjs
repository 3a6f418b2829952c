import assert from "node:assert/strict";
import test from "node:test";
import { SampleRing } from "../wwwroot/js/ring.js";

const times = (...at) => Float64Array.from(at);
const values = (...all) => Float64Array.from(all);

test("rows come back in order, oldest first", () => {
  const ring = new SampleRing(4);
  ring.setSchema(["a", "b"]);
  ring.add(times(1, 2), values(10, 100, 20, 200));
  ring.add(times(3), values(30, 300));
  assert.deepEqual([...ring.times()], [1, 2, 3]);
  assert.deepEqual([...ring.column("a")], [10, 20, 30]);
  assert.deepEqual([...ring.column("b")], [100, 200, 300]);
  assert.equal(ring.lastTime, 3);
});

test("a full ring drops the oldest rows", () => {
  const ring = new SampleRing(3);
  ring.setSchema(["a"]);
  for (let i = 1; i <= 8; i++) ring.add(times(i), values(i * 10));
  assert.equal(ring.length, 3);
  assert.deepEqual([...ring.times()], [6, 7, 8]);
  assert.deepEqual([...ring.column("a")], [60, 70, 80]);
});

test("a back-fill that overlaps what is here adds only what is missing", () => {
  const ring = new SampleRing(10);
  ring.setSchema(["a"]);
  ring.add(times(5, 6), values(50, 60));
  ring.add(times(3, 4, 5, 6, 7), values(30, 40, 51, 61, 70));
  assert.deepEqual([...ring.times()], [3, 4, 5, 6, 7]);
  assert.deepEqual([...ring.column("a")], [30, 40, 50, 60, 70]);
});

test("a late back-fill keeps the newest rows when there is no room for all", () => {
  const ring = new SampleRing(3);
  ring.setSchema(["a"]);
  ring.add(times(10, 11), values(1, 2));
  ring.add(times(7, 8, 9), values(3, 4, 5));
  assert.deepEqual([...ring.times()], [9, 10, 11]);
  assert.deepEqual([...ring.column("a")], [5, 1, 2]);
});

test("a new schema keeps shared columns, forgets the lost and starts the new as unknown", () => {
  const ring = new SampleRing(5);
  ring.setSchema(["a", "b"]);
  ring.add(times(1), values(10, 100));
  ring.setSchema(["b", "c"]);
  ring.add(times(2), values(200, 7));
  assert.equal(ring.column("a"), null);
  assert.deepEqual([...ring.column("b")], [100, 200]);
  assert.deepEqual([...ring.column("c")], [NaN, 7]);
});

test("columns that nobody draws are not kept", () => {
  const ring = new SampleRing(2);
  ring.setSchema([null, "b"]);
  ring.add(times(1), values(1, 2));
  assert.deepEqual(ring.keys, ["b"]);
  assert.deepEqual([...ring.column("b")], [2]);
});

test("values that do not fit the schema are refused", () => {
  const ring = new SampleRing(2);
  ring.setSchema(["a", "b"]);
  assert.throws(() => ring.add(times(1), values(1)), /1 values for 1 rows of 2 series/);
});

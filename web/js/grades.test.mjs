import assert from "node:assert/strict";
import test from "node:test";
import { gradeOf, guestWord, isGradeSeries, newestGrades, verdict } from "../wwwroot/js/grades.js";
import { SampleRing } from "../wwwroot/js/ring.js";

function ringOf(values) {
  const ring = new SampleRing(10);
  ring.setSchema(Object.keys(values));
  ring.add(Float64Array.of(1000), Float64Array.from(Object.values(values)));
  return ring;
}
const lines = (...codes) => codes.map((code, vector) => ({ address: "0000:01:10.0", vector, code }));

test("the newest grade of each vector, in the order of numbers", () => {
  const found = newestGrades(ringOf({ "grade.0000:01:10.0.msix.10": 4, "grade.0000:01:10.0.msix.2": 1, "grade.exits_per_1000_interrupts": 2000, "vfio.0000:01:10.0.msix.2": 9 }));
  assert.deepEqual(found.map(line => [line.vector, line.code, line.vfio]), [[2, 1, "vfio.0000:01:10.0.msix.2"], [10, 4, "vfio.0000:01:10.0.msix.10"]]);
  assert.equal(isGradeSeries("grade.marginal_exits_per_1000_interrupts"), true);
  assert.equal(isGradeSeries("vfio.0000:01:10.0.msix.2"), false);
});

test("what the guest says is told as its word, and not at all once it is old", () => {
  const ring = new SampleRing(10);
  ring.setSchema(["grade.0000:01:10.0.msix.1", "guest.0000:01:10.0.msix.1", "guest.age_ms", "grade.from_guest"]);
  ring.add(Float64Array.of(1000, 2000), Float64Array.from([4, 100, 300, 0, 4, 350, 400, 1]));
  const word = guestWord(ring, newestGrades(ring));
  assert.equal(word.rates.get("guest.0000:01:10.0.msix.1"), 250);
  assert.match(word.words, /its word, which nobody checks/);
  assert.equal(isGradeSeries("guest.0000:01:10.0.msix.1"), true);
  ring.add(Float64Array.of(3000), Float64Array.from([16, 350, 3000, 0]));
  const old = guestWord(ring, newestGrades(ring));
  assert.match(old.words, /fallen silent/);
  assert.equal(old.rates.get("guest.0000:01:10.0.msix.1"), NaN);
  assert.equal(guestWord(ringOf({ "grade.0000:01:10.0.msix.1": 1 }), []), null);
});

test("a grade that the page does not know is no guess", () => {
  assert.equal(gradeOf(99).name, "unknown");
  assert.equal(gradeOf(99).exitless, null);
});

test("the verdict is exit-less only where every vector in use is", () => {
  assert.match(verdict(lines()), /^No device/);
  assert.match(verdict(lines(0, 0)), /^No device interrupt/);
  assert.match(verdict(lines(0, 4, 5)), /^Exit-less: every vector in use is posted or direct/);
  assert.match(verdict(lines(4, 1)), /^Not exit-less: 1 of 2 vectors/);
  assert.match(verdict(lines(1, 0)), /^Not exit-less: every vector/);
  assert.match(verdict(lines(2, 2)), /^Not exit-less: the vCPU halts/);
  assert.match(verdict(lines(4, 16)), /^Not told: posted, unknown/);
});

import assert from "node:assert/strict";
import test from "node:test";
import { isReasonSeries, lessFrequent, otherMsrs, ReasonColors, reasonRates, shownReasons } from "../wwwroot/js/reasons.js";
import { SampleRing } from "../wwwroot/js/ring.js";

function ringOf(columns) {
  const keys = Object.keys(columns);
  const rows = columns[keys[0]].length;
  const ring = new SampleRing(100);
  ring.setSchema(keys);
  ring.add(Float64Array.from({ length: rows }, (_, row) => row * 1000), Float64Array.from(Array.from({ length: rows }, (_, row) => keys.map(key => columns[key][row])).flat()));
  return ring;
}
const layer = (reasons, name) => [...reasons.layers.find(one => one.name === name).rates];

test("reasons are summed over the vCPUs, the most frequent first", () => {
  const reasons = reasonRates(ringOf({ "exit.vcpu.0.halt": [0, 10, 20], "exit.vcpu.0.cpuid": [0, 20, 50], "exit.vcpu.1.halt": [5, 10, 25], "kvm.vcpu.0.exits": [0, 1, 2] }));
  assert.deepEqual(reasons.layers.map(one => one.name), ["cpuid", "halt"]);
  assert.deepEqual(layer(reasons, "halt"), [NaN, 15, 25]);
});

test("MSR accesses are told by MSR, and what is left of them is told too", () => {
  const amd = reasonRates(ringOf({ "exit.vcpu.0.msr": [0, 100], "exit.vcpu.0.msr_write.x2apic_eoi": [0, 60], "exit.vcpu.0.msr_write.tsc_deadline": [0, 30] }));
  assert.deepEqual(amd.layers.map(one => one.name), ["msr write: x2apic eoi", "msr write: tsc deadline", otherMsrs]);
  assert.deepEqual(layer(amd, otherMsrs), [NaN, 10]);
  const skewed = reasonRates(ringOf({ "exit.vcpu.0.msr_write": [0, 5], "exit.vcpu.0.msr_write.x2apic_icr": [0, 6] }));
  assert.deepEqual(skewed.layers.map(one => one.name), ["msr write: x2apic icr"], "never below nought");
});

test("a reason that comes later has come 0 times before, and a gap stays a gap", () => {
  const ring = new SampleRing(100);
  ring.setSchema(["exit.vcpu.0.halt"]);
  ring.add(Float64Array.of(0, 1000), Float64Array.of(0, 10));
  ring.setSchema(["exit.vcpu.0.halt", "exit.vcpu.0.wbinvd"]);
  ring.add(Float64Array.of(2000, 3000, 9000), Float64Array.of(20, 1, 30, 2, 90, 3));
  const reasons = reasonRates(ring);
  assert.deepEqual(layer(reasons, "halt"), [NaN, 10, 10, 10, NaN]);
  assert.deepEqual(layer(reasons, "wbinvd"), [NaN, 0, 0, 1, NaN]);
});

test("rare reasons are one layer, and nothing is lost", () => {
  const many = Object.fromEntries(Array.from({ length: 14 }, (_, i) => [`exit.vcpu.0.r${i}`, [0, 100 - i]]));
  const reasons = reasonRates(ringOf(many));
  assert.equal(reasons.layers.length, shownReasons + 1);
  assert.equal(reasons.layers.at(-1).name, lessFrequent);
  assert.equal(reasons.layers.reduce((sum, one) => sum + one.rates[1], 0), Array.from({ length: 14 }, (_, i) => 100 - i).reduce((a, b) => a + b));
});

test("nothing counted is no layer, and a colour stays with its reason", () => {
  assert.deepEqual(reasonRates(ringOf({ "kvm.vcpu.0.exits": [0, 10] })).layers, []);
  const colors = new ReasonColors();
  const first = colors.of("halt");
  assert.notEqual(colors.of("cpuid"), first);
  assert.equal(colors.of("halt"), first);
  assert.equal(isReasonSeries("exit.vcpu.12.msr_write.x2apic_eoi"), true);
  assert.equal(isReasonSeries("kvm.vcpu.0.exits"), false);
});

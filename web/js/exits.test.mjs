import assert from "node:assert/strict";
import test from "node:test";
import { exitKinds, exitRates, isExitSeries } from "../wwwroot/js/exits.js";
import { interruptRates, vectorOf } from "../wwwroot/js/interrupts.js";
import { cpuShares } from "../wwwroot/js/cpu.js";
import { SampleRing } from "../wwwroot/js/ring.js";

function ringOf(columns, step = 1000) {
  const keys = Object.keys(columns);
  const rows = columns[keys[0]].length;
  const ring = new SampleRing(100);
  ring.setSchema(keys);
  const rowMajor = Array.from({ length: rows }, (_, row) => keys.map(key => columns[key][row])).flat();
  ring.add(Float64Array.from({ length: rows }, (_, row) => row * step), Float64Array.from(rowMajor));
  return ring;
}
const layer = (exits, name) => [...exits.layers.find(one => one.name === name).rates];

test("kinds are summed over the vCPUs, and the remainder is other", () => {
  const exits = exitRates(ringOf({
    "kvm.vcpu.0.exits": [0, 100, 220], "kvm.vcpu.0.irq_exits": [0, 40, 90], "kvm.vcpu.0.halt_exits": [0, 10, 20],
    "kvm.vcpu.1.exits": [0, 50, 100], "kvm.vcpu.1.irq_exits": [0, 20, 40], "kvm.vcpu.1.halt_exits": [0, 5, 10],
  }));
  assert.deepEqual([...exits.total], [NaN, 150, 170]);
  assert.deepEqual(layer(exits, "irq_exits"), [NaN, 60, 70]);
  assert.deepEqual(layer(exits, "halt_exits"), [NaN, 15, 15]);
  assert.deepEqual(layer(exits, "other"), [NaN, 75, 85]);
  assert.equal(exits.layers.at(-1).name, "other", "other lies on top");
});

test("when the kinds exceed exits nothing is scaled: other is nought and the excess is told", () => {
  const exits = exitRates(ringOf({ "kvm.vcpu.0.exits": [0, 10], "kvm.vcpu.0.mmio_exits": [0, 9], "kvm.vcpu.0.pf_taken": [0, 4] }));
  assert.deepEqual(layer(exits, "mmio_exits"), [NaN, 9]);
  assert.deepEqual(layer(exits, "pf_taken"), [NaN, 4]);
  assert.deepEqual(layer(exits, "other"), [NaN, 0]);
  assert.deepEqual([...exits.excess], [NaN, 3]);
});

test("returns to user space are not kinds of exit", () => {
  assert.equal(exitKinds.includes("signal_exits"), false);
  assert.equal(exitKinds.includes("request_irq_exits"), false);
  assert.equal(isExitSeries("kvm.vcpu.0.signal_exits"), false);
  assert.equal(isExitSeries("kvm.vcpu.12.exits"), true);
  assert.equal(isExitSeries("kvm.vm.exits"), false);
});

test("one vCPU's reset makes a gap in the whole sum", () => {
  const exits = exitRates(ringOf({ "kvm.vcpu.0.exits": [100, 200, 300], "kvm.vcpu.1.exits": [100, 5, 10] }));
  assert.deepEqual([...exits.total], [NaN, NaN, 105]);
});

test("vectors are told apart by device and number, in the order of numbers", () => {
  assert.deepEqual(vectorOf("vfio.0000:01:10.0.msix.12"), { address: "0000:01:10.0", vector: 12 });
  assert.equal(vectorOf("vfio.0000:01:10.0.msi.1"), null);
  const interrupts = interruptRates(ringOf({ "vfio.0000:01:10.0.msix.10": [0, 5], "vfio.0000:01:10.0.msix.2": [0, 7], "process.rss_bytes": [1, 1] }));
  assert.deepEqual(interrupts.lines.map(line => line.key), ["vfio.0000:01:10.0.msix.2", "vfio.0000:01:10.0.msix.10"]);
  assert.deepEqual([...interrupts.total], [NaN, 12]);
});

test("CPU time is a share of one CPU", () => {
  const cpu = cpuShares(ringOf({ "process.cpu_guest_ns": [0, 5e8], "process.cpu_host_ns": [0, 2.5e7] }));
  assert.equal(cpu.guest[1], 50);
  assert.equal(cpu.host[1], 2.5);
  const none = cpuShares(ringOf({ "process.rss_bytes": [1, 2] }));
  assert.deepEqual([...none.guest], [NaN, NaN]);
});

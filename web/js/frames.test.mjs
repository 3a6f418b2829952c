import assert from "node:assert/strict";
import test from "node:test";
import { decodeConsole, decodeFrame, decodeWall, frameKind, rowKind } from "../wwwroot/js/frames.js";

/** A rows frame as the control plane writes it, at an odd offset of its buffer: that is how MessagePack hands bytes over. */
function rowsFrame(kind, rows) {
  const columns = rows.length === 0 ? 0 : rows[0].values.length;
  const whole = new Uint8Array(3 + 6 + rows.length * (columns + 1) * 8);
  const view = new DataView(whole.buffer, 3);
  view.setUint8(0, frameKind.rows);
  view.setUint8(1, kind);
  view.setUint16(2, rows.length, true);
  view.setUint16(4, columns, true);
  let at = 6;
  for (const row of rows)
    for (const value of [row.time, ...row.values]) { view.setFloat64(at, value, true); at += 8; }
  return whole.subarray(3);
}

test("a schema frame names its series", () => {
  const json = '{"series":[{"key":"kvm.vcpu.0.exits","kind":"counter","unit":"count"}]}';
  const frame = decodeFrame(Uint8Array.of(1, ...new TextEncoder().encode(json)));
  assert.equal(frame.type, frameKind.schema);
  assert.deepEqual(frame.series, [{ key: "kvm.vcpu.0.exits", kind: "counter", unit: "count" }]);
});

test("a rows frame gives times and raw values, whatever the alignment", () => {
  const frame = decodeFrame(rowsFrame(rowKind.backfill, [{ time: 1700000000000, values: [1, 2 ** 52] }, { time: 1700000001000, values: [3, 4] }]));
  assert.equal(frame.kind, rowKind.backfill);
  assert.equal(frame.rowCount, 2);
  assert.deepEqual([...frame.times], [1700000000000, 1700000001000]);
  assert.deepEqual([...frame.values], [1, 2 ** 52, 3, 4]);
});

test("a rows frame may be empty", () => {
  const frame = decodeFrame(rowsFrame(rowKind.backfill, []));
  assert.equal(frame.rowCount, 0);
  assert.equal(frame.values.length, 0);
});

test("a link frame says whether the agent's link is up", () => {
  assert.equal(decodeFrame(Uint8Array.of(3, 0)).up, false);
  assert.equal(decodeFrame(Uint8Array.of(3, 1)).up, true);
});

test("a broken frame is refused with its reason, not read past its end", () => {
  const short = rowsFrame(rowKind.live, [{ time: 1, values: [1] }]).subarray(0, -1);
  assert.throws(() => decodeFrame(short), /21 bytes where 1 x 1 needs 22/);
  assert.throws(() => decodeFrame(new Uint8Array(0)), /empty/);
  assert.throws(() => decodeFrame(Uint8Array.of(2, 2)), /shorter than its header/);
  assert.throws(() => decodeFrame(Uint8Array.of(3)), /without its state/);
  assert.throws(() => decodeFrame(Uint8Array.of(9)), /unknown kind 9/);
  assert.throws(() => decodeFrame(Uint8Array.of(1, 0x7b, 0x7d)), /without series/);
});

test("a console frame carries its offset and bytes", () => {
  const bytes = new Uint8Array(11);
  new DataView(bytes.buffer).setBigUint64(0, 262144n, true);
  bytes.set([104, 105, 10], 8);
  const frame = decodeConsole(bytes);
  assert.equal(frame.offset, 262144);
  assert.equal(new TextDecoder().decode(frame.data), "hi\n");
  assert.throws(() => decodeConsole(new Uint8Array(7)), /shorter than its offset/);
});

test("a wall's frame gives each VM its rows, and one that is cut short is refused", () => {
  const bytes = new Uint8Array(1 + 2 * 5 + 7 * 8);
  const view = new DataView(bytes.buffer);
  bytes[0] = 4;
  view.setUint16(1, 3, true);
  bytes[3] = 1;
  view.setUint16(4, 1, true);
  for (let i = 0; i < 7; i++) view.setFloat64(6 + i * 8, i === 5 ? NaN : i + 0.5, true);
  view.setUint16(62, 9, true);
  const entries = decodeWall(bytes);
  assert.deepEqual(entries.map(entry => [entry.index, entry.up, [...entry.rows]]), [[3, true, [0.5, 1.5, 2.5, 3.5, 4.5, NaN, 6.5]], [9, false, []]]);
  assert.throws(() => decodeWall(bytes.subarray(0, 40)), RangeError);
  assert.throws(() => decodeWall(Uint8Array.of(1)), RangeError);
});

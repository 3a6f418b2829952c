import assert from "node:assert/strict";
import test from "node:test";
import { forget, keep, read } from "../wwwroot/js/views.js";

function memory() {
  const kept = new Map();
  return { getItem: key => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
}

test("views are kept by list and name, and forgotten", () => {
  const storage = memory();
  keep(storage, "vms", "web", "?q=web");
  keep(storage, "vms", "failed", "?state=failed");
  keep(storage, "vms", "web", "?q=web&sort=-memory");
  assert.deepEqual(read(storage, "vms"), [{ name: "failed", query: "?state=failed" }, { name: "web", query: "?q=web&sort=-memory" }]);
  assert.deepEqual(read(storage, "hosts"), []);
  assert.deepEqual(forget(storage, "vms", "web"), [{ name: "failed", query: "?state=failed" }]);
});

test("storage that holds something else has no views", () => {
  assert.deepEqual(read({ getItem: () => "{" }, "vms"), []);
  assert.deepEqual(read({ getItem: () => '[{"name":1}]' }, "vms"), []);
  assert.deepEqual(read({ getItem: () => { throw new Error("switched off"); } }, "vms"), []);
});

import { expect, it } from "vitest";
import { limits } from "../../src/contract/limits.ts";
import { Circuits } from "../../src/core/circuit.ts";

const maxFailures = 8;

function anOpenCircuit() {
  const clock = { nowMs: 0 };
  const circuits = new Circuits(() => clock.nowMs);
  for (let failures = 0; failures < maxFailures; failures++) circuits.failed("u");
  return { clock, circuits };
}

it("lets one call at a time probe an upstream that has rested", () => {
  const { clock, circuits } = anOpenCircuit();
  expect(circuits.admits("u", maxFailures)).toBe(false);
  clock.nowMs += limits.circuitRestMs;
  expect(circuits.admits("u", maxFailures)).toBe(true);
  expect(circuits.admits("u", maxFailures)).toBe(false);
});

it("lets another call probe when the one that did has ended without a word", () => {
  const { clock, circuits } = anOpenCircuit();
  clock.nowMs += limits.circuitRestMs;
  expect(circuits.admits("u", maxFailures)).toBe(true);
  clock.nowMs += limits.circuitRestMs;
  expect(circuits.admits("u", maxFailures)).toBe(true);
});

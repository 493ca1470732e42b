import { assertEquals } from "@std/assert";
import { describe, it } from "@std/testing/bdd";
import { medians } from "../bench/bench.ts";

describe("bench.ts", () => {
  it("takes the middle of nine, each measured in its turn", async () => {
    const order = [9, 1, 8, 2, 7, 3, 6, 4, 5];
    let turn = 0;
    const measure = () => Promise.resolve([order[turn]!, 100 - order[turn++]!]);
    assertEquals(await medians(measure), [5, 95]);
    assertEquals(turn, 9);
  });
});

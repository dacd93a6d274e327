// SPDX-License-Identifier: Apache-2.0
/** Frames that the gateway's own encoder made, with what they say in plain JSON (tests/golden/frames). */

import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { DriverBlock } from "../../src/stream/blocks";
import { decodeUpdate, goneDrivers, type RideRecord } from "../../src/stream/decode";
import { Replica } from "../../src/stream/replica";

const FOLDER = new URL("../../../../tests/golden/frames/", import.meta.url);
const NAMES = readdirSync(FOLDER)
  .filter((name) => name.endsWith(".bin"))
  .map((name) => name.slice(0, -4))
  .sort();

function read(name: string) {
  const bytes = readFileSync(new URL(`${name}.bin`, FOLDER));
  const said = JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), "utf8"));
  return { message: Uint8Array.from(bytes).buffer, said };
}

/** Rows as the JSON has them, with times made full against the picture's cut. */
function drivers(replica: Replica) {
  const rows = replica.drivers;
  return [...rows.slots.keys()]
    .sort((a, b) => a - b)
    .map((driver) => {
      const slot = rows.slots.get(driver)!;
      return {
        driver,
        lng_e5: rows.lngE5[slot],
        lat_e5: rows.latE5[slot],
        at_ms: replica.fullMs(rows.at[slot]!),
        heading: rows.heading[slot],
        speed: rows.speed[slot],
        status: rows.status[slot],
      };
    });
}

function ride(row: RideRecord, replica: Replica) {
  const time = (low: number) => (low === 0 ? null : replica.fullMs(low));
  return {
    ride: row.id,
    state: row.state,
    attempt: row.attempt,
    driver: row.driver || null,
    pickup_e5: [...row.pickup],
    dropoff_e5: [...row.dropoff],
    requested_ms: time(row.requested),
    assigned_ms: time(row.assigned),
    arrived_ms: time(row.arrived),
    started_ms: time(row.started),
    ended_ms: time(row.ended),
  };
}

const statuses = ({ status }: DriverBlock) => [...status.id].map((id, i) => [id, status.status[i]]);

const moves = ({ moved }: DriverBlock) =>
  [...moved.id].map((driver, i) => ({
    driver,
    lng_by_e5: moved.lngByE5[i],
    lat_by_e5: moved.latByE5[i],
    at_by_ms: moved.atBy[i],
    heading: moved.heading[i],
    speed: moved.speed[i],
  }));

describe("the golden frames", () => {
  it("are there", () => {
    expect(NAMES.length).toBeGreaterThanOrEqual(11);
  });

  it("fold, one after the other, to the rows, counts and hashes that the gateway says", () => {
    const replica = new Replica();
    for (const name of NAMES) {
      const { message, said } = read(name);
      const cut = decodeUpdate(message);
      expect(replica.apply(cut, said.next.epoch), name).toEqual({ kind: "applied" });
      expect(drivers(replica), name).toEqual(said.held.drivers);
      const byId = (a: { ride: string }, b: { ride: string }) => (a.ride < b.ride ? -1 : 1);
      const rides = [...replica.rides.values()].map((row) => ride(row, replica)).sort(byId);
      expect(rides, name).toEqual([...said.held.rides].sort(byId));
      expect([replica.hash.a >>> 0, replica.hash.b >>> 0], name).toEqual(said.hash);
    }
  });

  it.each(NAMES)("%s decodes to what its JSON says", (name) => {
    const { message, said } = read(name);
    const cut = decodeUpdate(message);
    expect(cut).toMatchObject({
      image: said.image,
      stale: said.stale,
      generation: said.generation,
      loc: said.next.loc,
      ev: said.next.ev,
      cutMs: said.at_ms,
      epochCheck: said.epoch_check,
      driversHeld: said.drivers_held,
      ridesHeld: said.rides_held,
      ridesGone: said.rides_gone,
      feed: said.feed,
    });
    expect(cut.drivers.length).toBe(said.blocks);
    expect([...goneDrivers(cut)]).toEqual(said.gone);
    const ids = cut.drivers.flatMap(({ set }) => [...set.id]);
    expect(ids).toEqual(said.drivers.map(({ driver }: { driver: number }) => driver));
    expect(cut.drivers.flatMap(statuses)).toEqual(said.status);
    expect(cut.drivers.flatMap(moves)).toEqual(said.moved);
    expect(cut.rides.map(({ id }) => id)).toEqual(said.rides.map(({ ride }: { ride: string }) => ride));
  });
});

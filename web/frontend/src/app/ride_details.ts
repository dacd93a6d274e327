// SPDX-License-Identifier: Apache-2.0
/** Asks a gateway for what the row of a ride leaves out: why each driver was chosen, its offers, and the fare at the end. */

import { type RideDetails, sameAttempt } from "../city/explanation";
import { RIDE } from "../city/rides";
import type { RideRecord } from "../stream";

/** The gateway that answers may be a few cuts behind the stream, or have only just begun to read. */
const TRIES = 5;
const PAUSE_MS = 1_000;

export class RideDetailsFetcher {
  private wanted = "";

  constructor(
    private readonly fetchDetails: (id: string) => Promise<RideDetails | null>,
    private readonly onDetails: (id: string, details: RideDetails) => void,
    private readonly pause = () => new Promise<void>((done) => setTimeout(done, PAUSE_MS)),
  ) {}

  /** The row changed; null: no ride is shown. Asks once for each driver, when it is assigned, and at the end of the trip. */
  async follow(row: RideRecord | null): Promise<void> {
    const ended = row?.state === RIDE.completed;
    const isAssigned = row?.assigned ? "assigned" : "";
    const wanted = row && row.driver !== 0 ? `${row.id} ${row.attempt} ${isAssigned} ${ended}` : "";
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    for (let tries = 0; row && wanted !== "" && tries < TRIES; tries++) {
      if (tries > 0) await this.pause();
      const details = this.wanted === wanted ? await this.fetchDetails(row.id) : null;
      if (this.wanted !== wanted) return;
      if (!details || !sameAttempt(row, details.attempt)) continue;
      if (isAssigned && details.state === "OFFERED") continue;
      this.onDetails(row.id, details);
      if (details.why && (!ended || details.fare_cents !== null)) return;
    }
  }
}

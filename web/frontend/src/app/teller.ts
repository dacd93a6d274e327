// SPDX-License-Identifier: Apache-2.0
/** Asks a gateway for what the row of the ride on show leaves out: why each driver comes, and the fare at the end. */

import { RIDE } from "../city/rides";
import { type RideStory, sameAttempt } from "../city/why";
import type { RideRecord } from "../stream";

/** The gateway that answers may stand a few cuts behind the stream, or have only just begun to read. */
const TRIES = 5;
const PAUSE_MS = 1_000;

export class Teller {
  private wanted = "";

  constructor(
    private readonly ask: (id: string) => Promise<RideStory | null>,
    private readonly told: (id: string, story: RideStory) => void,
    private readonly pause = () => new Promise<void>((done) => setTimeout(done, PAUSE_MS)),
  ) {}

  /** The row changed; null: no ride is on show. Asks once for each driver, and once at the end of the trip. */
  async follow(row: RideRecord | null): Promise<void> {
    const ended = row?.state === RIDE.completed;
    const wanted = row && row.driver !== 0 ? `${row.id} ${row.attempt} ${ended}` : "";
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    for (let tries = 0; row && wanted !== "" && tries < TRIES; tries++) {
      if (tries > 0) await this.pause();
      const story = this.wanted === wanted ? await this.ask(row.id) : null;
      if (this.wanted !== wanted) return;
      if (!story || !sameAttempt(row, story.attempt)) continue;
      this.told(row.id, story);
      if (story.why && (!ended || story.fare_cents !== null)) return;
    }
  }
}
